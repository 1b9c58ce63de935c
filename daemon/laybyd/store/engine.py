"""LMDB, as this store uses it: one way to open a file, and what its errors mean to us.

Owns the flags and the translation of errors. Must never know what is stored. Engine 0.9 is asked
for by name: recycling rests on its file format. Never `writemap` (a full disk would end the
process) and never `sync=False` (a power cut would lose what was confirmed).
"""

from __future__ import annotations

import errno
import os
import resource
import struct
from typing import TYPE_CHECKING

import lmdb
from lmdb.verify import VerifyError, verify

from laybyd.store.base import Damaged, Full, NoRight, StoreError, Unavailable, Unknown

if TYPE_CHECKING:
    from pathlib import Path

_META = struct.Struct("=II8xQ96xQQ")
"""Of one meta page behind its page header: magic, version, map size, last page, transaction."""

_META_AT = 16
_MAGIC = 0xBEEFC0DE
_FULL_CODES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PASSING_CODES = (errno.EIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN)
_LEAST_FREE = 1 << 20
VERIFIED_BYTES = 64 << 20
"""Files up to this size are looked through before each start."""

_BROKEN = (
    lmdb.BadTxnError,
    lmdb.CorruptedError,
    lmdb.InvalidError,
    lmdb.PageNotFoundError,
    lmdb.VersionMismatchError,
    lmdb.NotFoundError,
    lmdb.IncompatibleError,
)


def open_env(
    path: Path, map_bytes: int, dbs: int = 0, create: bool = False, readonly: bool = False
) -> lmdb.Environment:
    """Raises Damaged, NoRight, Full, Unknown or Unavailable, naming the file. To write costs the
    engine nearly 3 MB of memory per file, so what is only read says so."""
    if not create:
        _check_file(path)
    try:
        env = lmdb.open(
            str(path),
            subdir=False,
            map_size=map_bytes,
            max_dbs=dbs,
            mode=0o600,
            create=create,
            readonly=readonly,
            lib_version=0,
        )
        env.reader_check()
    except (lmdb.InvalidError, lmdb.VersionMismatchError, lmdb.CorruptedError) as error:
        raise Damaged(f"{path} is not a file of this store: {error}") from error
    except lmdb.Error as error:
        raise unusable(error, path) from error
    return env


def _check_file(path: Path) -> None:
    """A file cut short would end the process when a page behind its end is touched."""
    try:
        with path.open("rb") as file:
            head = file.read(1 << 16)
            size = os.fstat(file.fileno()).st_size
    except FileNotFoundError as error:
        raise Damaged(f"{path} is missing; restore the store from a backup") from error
    except OSError as error:
        raise unusable(error, path) from error
    pages = [_last_page(head, at) for at in (0, page_size())]
    newest = max((one for one in pages if one), default=None)
    if newest is None:
        raise Damaged(f"{path} is not a database file; restore the store from a backup")
    if size < newest[1] * page_size():
        raise Damaged(f"{path} is cut short at {size} bytes; restore the store from a backup")


def _last_page(head: bytes, at: int) -> tuple[int, int] | None:
    """(transaction, last page) of the meta page there."""
    if len(head) < at + _META_AT + _META.size:
        return None
    magic, _, _, last, transaction = _META.unpack_from(head, at + _META_AT)
    return (transaction, last) if magic == _MAGIC else None


def problems_of(path: Path) -> list[str]:
    """What is wrong with the structure of the file; it is never handed to the engine for that."""
    try:
        found: list[str] = verify(str(path), subdir=False)  # type: ignore[no-untyped-call]
    except (VerifyError, OSError) as error:
        return [str(error)]
    return found


def check_structure(path: Path) -> None:
    """Before a file is handed to the engine, which ends the process on some damage. Raises
    Damaged. Takes 15 ms per MB at most, so what is very large is left to `layby store check`."""
    _check_file(path)
    try:
        if path.stat().st_size > VERIFIED_BYTES:
            return
        found: list[str] = verify(str(path), subdir=False)  # type: ignore[no-untyped-call]
    except VerifyError as error:
        found = [str(error)]
    except OSError as error:
        raise unusable(error, path) from error
    if found:
        raise Damaged(f"{path}: {found[0]}; restore the store from a backup")


def copy(env: lmdb.Environment, path: Path) -> int:
    """A copy as of one moment, without free pages, on the disk; how many bytes it takes. Raises
    Full, Damaged or Unknown."""
    try:
        env.copy(str(path), compact=True)
    except lmdb.Error as error:
        raise failed(error, path, env) from error
    path.chmod(0o600)
    sync(path)
    return path.stat().st_size


def make_dir(path: Path) -> None:
    """With what is missing above it, each durably: a store is lost with any directory above it."""
    if not path.is_dir():
        make_dir(path.parent)
        path.mkdir(mode=0o700)
        sync(path.parent)


def sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def page_size() -> int:
    return os.sysconf("SC_PAGE_SIZE")


def used_bytes(env: lmdb.Environment) -> int:
    """How far into its file the database reaches."""
    return (env.info()["last_pgno"] + 1) * page_size()


def unusable(error: Exception, path: Path) -> StoreError:
    """What a file that cannot be opened means."""
    code = getattr(error, "code", None) or getattr(error, "errno", None)
    if code in (errno.EACCES, errno.EPERM, errno.EROFS):
        return NoRight(f"{path} may not be used: {error}")
    if code in _FULL_CODES:
        return Full(f"no room left for {path}: {error}")
    if code in _PASSING_CODES:
        return Unknown(f"{path} cannot be opened now: {error}")
    return Unavailable(f"{path} cannot be opened: {error}")


def unreadable(error: lmdb.Error, path: Path, what: str = "cannot be read") -> StoreError:
    """What a read that failed means: the file is wrong, or the machine cannot read it now."""
    if isinstance(error, _BROKEN):
        return Damaged(f"{path} {what}: {error}")
    return Unknown(f"{path} cannot be read now: {error}")


def failed(error: lmdb.Error, path: Path, env: lmdb.Environment) -> StoreError:
    """What a commit that failed means: Full when nothing was taken for want of room, Damaged when
    the pages in its way are not what was written."""
    if is_full(error, path) and not _has_given_up(env):
        return Full(f"no room left for {path}: {error}")
    if isinstance(error, lmdb.CorruptedError | lmdb.PageNotFoundError):
        return Damaged(f"{path} cannot be written: {error}; restore the store from a backup")
    return Unknown(f"a commit to {path} failed: {error}")


def _has_given_up(env: lmdb.Environment) -> bool:
    """The page that makes a commit count was refused: nobody knows whether it is on the disk, and
    the engine takes nothing more."""
    try:
        env.begin().abort()
    except lmdb.PanicError:
        return True
    return False


def refused(error: OSError, path: Path) -> StoreError:
    """What a step on a directory that failed means."""
    if error.errno in _FULL_CODES:
        return Full(f"no room left in {path}: {error}")
    return Unknown(f"a step on {path} failed: {error}")


def is_full(error: lmdb.Error, path: Path) -> bool:
    """The engine reports a short write, which is what a full disk makes and a file that has
    reached the size it is allowed, as EIO."""
    code = getattr(error, "code", 0)
    if isinstance(error, lmdb.MapFullError | lmdb.TxnFullError) or code in _FULL_CODES:
        return True
    return code == errno.EIO and (free_bytes(path) < _LEAST_FREE or _is_as_large_as_allowed(path))


def _is_as_large_as_allowed(path: Path) -> bool:
    allowed, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return allowed != resource.RLIM_INFINITY and path.stat().st_size >= allowed


def free_bytes(path: Path) -> int:
    stat = os.statvfs(path)
    return stat.f_bavail * stat.f_frsize
