/* Between a process and the files of one store: writes down what it does to them, fails it on demand.

   Loaded by LD_PRELOAD; does nothing until shim_start() has read its orders, from the environment:

   LAYBY_SHIM_ROOT   only calls on paths below this directory count ("lock" and "*-lock" never do)
   LAYBY_SHIM_LOG    append a record of each call that succeeded: head, then path or data
   LAYBY_SHIM_FLUSH  microseconds that every flush takes longer, so that who does not wait is seen
   LAYBY_SHIM_FAULT  "class:nth:errno[:times]": fail the nth call of the class (and the next ones);
                     errno 0 makes a write short. Classes: Write, D for a write that is its own
                     flush, Flush Open Rename Truncate Unlink Map, and Alloc for malloc
   LAYBY_SHIM_COUNTS a file of 128 longs: how often each class was called, at its letter; at 0, how
                     often a call was made to fail

   System calls are made with longs: the kernel reads whole registers.
   A record is written after the call, but for the begin of a flush: what a flush makes durable is
   what was written before it began. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FILES = 1 << 16, OURS = 1, DSYNC = 2, SHORT = -1 };

struct head {
    uint32_t size;
    uint8_t kind;
    uint8_t pad[3];
    int32_t thread;
    int32_t fd;
    uint64_t at;
};

static char root[4096];
static size_t root_len;
static int log_fd = -1;
static useconds_t flush_us;
static unsigned char known[FILES];
static char fault_class;
static long fault_nth, fault_times;
static int fault_errno;
static atomic_long own_counts[128], *counts = own_counts;

#define REAL(type, name) \
    static type (*real)(); \
    if (!real) real = (type (*)())dlsym(RTLD_NEXT, #name)

static void say(char kind, int fd, uint64_t at, const void *data, size_t size)
{
    if (log_fd < 0) return;
    int before = errno;
    struct head head = {size, kind, {0}, syscall(SYS_gettid), fd, at};
    struct iovec parts[2] = {{&head, sizeof head}, {(void *)data, size}};
    if (syscall(SYS_writev, (long)log_fd, parts, 2L) != (long)(sizeof head + size)) abort();
    errno = before;
}

static void count_into(const char *path)
{
    int fd = syscall(SYS_openat, (long)AT_FDCWD, path, (long)(O_RDWR | O_CLOEXEC));
    void *at = (void *)syscall(SYS_mmap, 0L, sizeof own_counts, (long)(PROT_READ | PROT_WRITE),
                               (long)MAP_SHARED, (long)fd, 0L);
    if (at == MAP_FAILED) abort();
    counts = at;
}

void shim_start(void)
{
    const char *path = getenv("LAYBY_SHIM_ROOT"), *log = getenv("LAYBY_SHIM_LOG");
    const char *flush = getenv("LAYBY_SHIM_FLUSH"), *fault = getenv("LAYBY_SHIM_FAULT");
    const char *count = getenv("LAYBY_SHIM_COUNTS");
    if (!path) return;
    snprintf(root, sizeof root, "%s/", path);
    if (log) log_fd = syscall(SYS_openat, (long)AT_FDCWD, log,
                              (long)(O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC), 0600L);
    flush_us = flush ? atol(flush) : 0;
    fault_times = 1;
    if (fault) sscanf(fault, "%c:%ld:%d:%ld", &fault_class, &fault_nth, &fault_errno, &fault_times);
    if (count) count_into(count);
    root_len = strlen(root);
}

__attribute__((constructor)) static void loaded(void) { shim_start(); }

/* 0, or the errno with which this call is to fail. */
static int fails(char class)
{
    if (!root_len) return 0;
    long now = atomic_fetch_add(&counts[(int)class], 1) + 1;
    if (class != fault_class || now < fault_nth || now >= fault_nth + fault_times) return 0;
    atomic_fetch_add(&counts[0], 1);
    if (class != 'A') say('F', -1, now, &class, 1);
    return fault_errno ? fault_errno : SHORT;
}

static int is_ours(const char *path)
{
    size_t len = root_len && path ? strlen(path) : 0;
    if (!len || len + 1 < root_len || strncmp(path, root, root_len - 1)) return 0;
    if (len + 1 == root_len) return 1;
    if (path[root_len - 1] != '/') return 0;
    return strcmp(path + len - 5, "-lock") && strcmp(path + len - 5, "/lock");
}

static int state(int fd) { return fd >= 0 && fd < FILES ? known[fd] : 0; }

/* ---- files */

static int opened(const char *path, int flags, int fd)
{
    if (fd < 0 || fd >= FILES) return fd;
    known[fd] = is_ours(path) ? OURS | (flags & O_DSYNC ? DSYNC : 0) : 0;
    if (known[fd]) say('o', fd, flags, path, strlen(path));
    return fd;
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) \
    { \
        REAL(int, name); \
        va_list rest; \
        va_start(rest, flags); \
        int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, int) : 0; \
        va_end(rest); \
        int code = is_ours(path) ? fails('O') : 0; \
        if (code) return errno = code, -1; \
        return opened(path, flags, real(path, flags, mode)); \
    }
OPEN(open)
OPEN(open64)

int close(int fd)
{
    REAL(int, close);
    if (state(fd)) known[fd] = 0;
    return real(fd);
}

static ssize_t wrote(int fd, uint64_t at, const struct iovec *parts, int count, ssize_t done)
{
    ssize_t left = done;
    for (int i = 0; i < count && left > 0; i++) {
        size_t size = parts[i].iov_len < (size_t)left ? parts[i].iov_len : (size_t)left;
        say('w', fd, at, parts[i].iov_base, size);
        at += size;
        left -= size;
    }
    if (done > 0 && known[fd] & DSYNC) {
        if (flush_us) usleep(flush_us);
        say('D', fd, 0, NULL, 0);
    }
    return done;
}

static size_t total(const struct iovec *parts, int count)
{
    size_t sum = 0;
    while (count--) sum += parts++->iov_len;
    return sum;
}

/* All writes end here: one at a place, or one behind another. Half of a short one is written. */
static ssize_t write_all(int fd, const struct iovec *parts, int count, off_t at, int placed)
{
    struct iovec half;
    int code = fails(known[fd] & DSYNC ? 'D' : 'W');
    if (code > 0) return errno = code, -1;
    if (code == SHORT) {
        half = (struct iovec){parts->iov_base, total(parts, 1) / 2};
        parts = &half;
        count = 1;
    }
    if (!placed) {
        struct stat now;
        int append = fcntl(fd, F_GETFL) & O_APPEND;
        at = append && !fstat(fd, &now) ? now.st_size : lseek(fd, 0, SEEK_CUR);
    }
    ssize_t done = placed ? syscall(SYS_pwritev, (long)fd, parts, (long)count, at, 0L)
                          : syscall(SYS_writev, (long)fd, parts, (long)count);
    return wrote(fd, at, parts, count, done);
}

ssize_t write(int fd, const void *data, size_t size)
{
    REAL(ssize_t, write);
    if (!state(fd)) return real(fd, data, size);
    return write_all(fd, &(struct iovec){(void *)data, size}, 1, 0, 0);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    REAL(ssize_t, writev);
    return state(fd) ? write_all(fd, parts, count, 0, 0) : real(fd, parts, count);
}

#define PWRITE(name) \
    ssize_t name(int fd, const void *data, size_t size, off_t at) \
    { \
        REAL(ssize_t, name); \
        if (!state(fd)) return real(fd, data, size, at); \
        return write_all(fd, &(struct iovec){(void *)data, size}, 1, at, 1); \
    }
PWRITE(pwrite)
PWRITE(pwrite64)

#define TRUNCATE(name, type, ours, ...) \
    int name(type file, off_t size) \
    { \
        REAL(int, name); \
        if (!(ours)) return real(file, size); \
        int code = fails('T'); \
        if (code) return errno = code > 0 ? code : EIO, -1; \
        int done = real(file, size); \
        if (!done) say(__VA_ARGS__); \
        return done; \
    }
TRUNCATE(ftruncate, int, state(file), 't', file, size, NULL, 0)
TRUNCATE(ftruncate64, int, state(file), 't', file, size, NULL, 0)
TRUNCATE(truncate, const char *, is_ours(file), 'T', -1, size, file, strlen(file))
TRUNCATE(truncate64, const char *, is_ours(file), 'T', -1, size, file, strlen(file))

#define FLUSH(name) \
    int name(int fd) \
    { \
        REAL(int, name); \
        if (!state(fd)) return real(fd); \
        int code = fails('F'); \
        if (code) return errno = code > 0 ? code : EIO, -1; \
        say('s', fd, 0, NULL, 0); \
        int done = real(fd); \
        if (flush_us) usleep(flush_us); \
        if (!done) say('S', fd, 0, NULL, 0); \
        return done; \
    }
FLUSH(fsync)
FLUSH(fdatasync)

/* What reaches a file by these is not written down, so it must not happen. */
#define MAP(name) \
    void *name(void *addr, size_t len, int prot, int flags, int fd, off_t at) \
    { \
        REAL(void *, name); \
        if (!state(fd)) return real(addr, len, prot, flags, fd, at); \
        if (prot & PROT_WRITE && flags & MAP_SHARED) say('!', fd, 0, #name, sizeof #name - 1); \
        int code = fails('M'); \
        if (code) return errno = code > 0 ? code : ENOMEM, MAP_FAILED; \
        return real(addr, len, prot, flags, fd, at); \
    }
MAP(mmap)
MAP(mmap64)

/* ---- names */

#define NAMES(name, class, kind, ...) \
    { \
        REAL(int, name); \
        int ours = is_ours(path); \
        int code = ours ? fails(class) : 0; \
        if (code) return errno = code > 0 ? code : EIO, -1; \
        int done = real(__VA_ARGS__); \
        if (!done && ours) say(kind, -1, 0, path, strlen(path)); \
        return done; \
    }
int unlink(const char *path) NAMES(unlink, 'U', 'u', path)
int rmdir(const char *path) NAMES(rmdir, 'U', 'u', path)
int mkdir(const char *path, mode_t mode) NAMES(mkdir, 'O', 'm', path, mode)

int rename(const char *old, const char *new)
{
    REAL(int, rename);
    int ours = is_ours(old), code = ours ? fails('R') : 0;
    if (code) return errno = code > 0 ? code : EIO, -1;
    int done = real(old, new);
    char both[8192];
    int size = snprintf(both, sizeof both, "%s%c%s", old, 0, new);
    if (!done && ours) say('r', -1, 0, both, size);
    return done;
}

/* ---- memory */

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);

static int starves(void)
{
    if (fault_class != 'A' || !fails('A')) return 0;
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t size) { return starves() ? NULL : __libc_malloc(size); }
void *calloc(size_t count, size_t size) { return starves() ? NULL : __libc_calloc(count, size); }
void *realloc(void *old, size_t size) { return starves() ? NULL : __libc_realloc(old, size); }
