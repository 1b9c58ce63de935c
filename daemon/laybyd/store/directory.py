"""The directory of a store: who owns it, and what each file in it is called.

Owns the lock and the names. Must never know what is in the files.

    lock                     held by the one process that owns the store
    hold                     locked by whoever copies the log, so that nothing of it is freed
    state.lmdb               delivery state, and what makes this a store
    00000007.lmdb            the seventh segment of the log
    spare-00000003.lmdb      a segment that is out of service
    ballast                  room set aside for settling on a full disk
    *.new                    on its way to one of these names; left by a crash, removed
    *.lmdb-lock              the engine's own, of the file before it
"""

from __future__ import annotations

import fcntl
import os
import re
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from laybyd.store import engine
from laybyd.store.base import InUse, Postponed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_SEGMENT = re.compile(r"(\d{8,})\.lmdb")


class Directory:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.state = path / "state.lmdb"
        self._lock = path / "lock"
        self._hold = path / "hold"
        self._fd: int | None = None
        self._mutex = threading.Lock()
        self._frees = 0
        self._hold_fd = -1

    def own(self, make: bool = True) -> None:
        """Take the lock; the directory is made when it is missing. Raises InUse, NoRight or
        Unavailable."""
        try:
            if make:
                engine.make_dir(self.path)
            fd = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise engine.unusable(error, self.path) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            raise InUse(f"{self.path} is in use by another process") from error
        self._fd = fd

    def disown(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Nothing of the log is freed meanwhile, by no process; the end of this one ends it, too.
        Waits for what is being freed just now. Raises NoRight or Unavailable."""
        try:
            fd = os.open(self._hold, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise engine.unusable(error, self._hold) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_SH)
            yield
        finally:
            os.close(fd)

    def freeing(self) -> Callable[[], None]:
        """Nobody begins to copy until what is given back here is called. Raises Postponed when
        somebody copies."""
        with self._mutex:
            if not self._frees:
                self._hold_fd = self._held_alone()
            self._frees += 1
        return self._freed

    def _freed(self) -> None:
        with self._mutex:
            self._frees -= 1
            if not self._frees:
                os.close(self._hold_fd)

    def _held_alone(self) -> int:
        fd = os.open(self._hold, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(fd)
            raise Postponed(f"{self.path} is being copied") from error
        return fd

    def segment(self, number: int) -> Path:
        return self.path / f"{number:08}.lmdb"

    def spare(self, number: int) -> Path:
        return self.path / f"spare-{number:08}.lmdb"

    def segments(self) -> dict[int, Path]:
        """Files that stand in the log, by number."""
        found = ((_SEGMENT.fullmatch(path.name), path) for path in self.path.iterdir())
        return dict(sorted((int(match[1]), path) for match, path in found if match))

    def spares(self) -> list[Path]:
        return sorted(self.path.glob("spare-*.lmdb"))

    def remove_leftovers(self) -> None:
        for path in [*self.path.glob("*.new"), *self.path.glob("*.new-lock")]:
            path.unlink()

    def rename(self, old: Path, new: Path) -> None:
        """Durably; the engine's lock file stays behind and is removed. Raises Full or Unknown."""
        try:
            lock_of(old).unlink(missing_ok=True)
            old.rename(new)
            engine.sync(self.path)
        except OSError as error:
            raise engine.refused(error, self.path) from error


def lock_of(path: Path) -> Path:
    return path.with_name(path.name + "-lock")
