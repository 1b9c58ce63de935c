"""Segment files out of service: cleaned, made ready, kept in reserve or removed.

Owns the spare files and the thread that works on them. Must never know blocks or which segments
are in service. A retired file is recycled because its disk blocks are already there: it first
gets a name that no log is read from, and only then are its two meta pages overwritten with those
of an empty database; so whatever a crash leaves is either the old segment or a spare. (This rests
on engine 0.9, which keeps no transaction numbers in its pages.)
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from laybyd.store import engine, segment
from laybyd.store.base import StoreError
from laybyd.store.directory import lock_of
from laybyd.store.index import Header

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from laybyd.store.directory import Directory
    from laybyd.store.segment import Segment

log = logging.getLogger("laybyd.store")

KEPT = 2
"""Clean files kept for later; more are removed."""

CUT_BYTES = 8 << 20
FILL_BYTES = 1 << 20
"""Files are cut and filled in steps: one big step would hold up the log's own flushes."""

QUIET_S = 0.1
QUIET_BYTES = 4 << 20
"""A new file is filled with zeros only while the log grows slower than this."""


class Spares:
    """`written` tells how many bytes were appended to the log so far."""

    def __init__(
        self,
        directory: Directory,
        store_id: bytes,
        epoch: int,
        segment_bytes: int,
        written: Callable[[], int],
    ) -> None:
        self._directory = directory
        self._store_id = store_id
        self._epoch = epoch
        self._segment_bytes = segment_bytes
        self._written = written
        self._changed = threading.Condition()
        self._files = threading.Lock()
        self._chores: deque[Callable[[], None]] = deque()
        self._clean: list[Path] = []
        self._ready: tuple[int, Path] | None = None
        self._wanted = 0
        self._unfilled = False
        self._seen = 0
        self._busy = False
        self._stopping = False
        self._template = self._made_template()
        self._thread = threading.Thread(target=self._run, name="layby-spares", daemon=True)

    @property
    def map_bytes(self) -> int:
        return self._segment_bytes + segment.SLACK_BYTES

    @property
    def files(self) -> int:
        return len(self._clean) + (self._ready is not None)

    def start(self) -> None:
        """Whatever lies about from before is of unknown state: cleaned again, then of use."""
        for path in self._directory.spares():
            self._clean_or_remove(path)
        self._thread.start()

    def stop(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()

    def want(self, number: int) -> None:
        """A file for this segment will be needed soon."""
        with self._changed:
            self._wanted = number
            self._changed.notify_all()

    def take(self, number: int) -> Path:
        """A file ready to be this segment; made on the spot when none is. Raises Full, Unknown or
        Unavailable."""
        with self._changed:
            self._wanted = 0
        with self._files:
            try:
                self._make_ready(number)
            except OSError as error:
                raise engine.refused(error, self._directory.path) from error
            assert self._ready is not None
            path, self._ready = self._ready[1], None
            return path

    def give_back(self, number: int, path: Path) -> None:
        """What was taken could not go into service."""
        with self._files:
            if path != self._directory.spare(number):
                self._directory.rename(path, self._directory.spare(number))
            self._ready = number, self._directory.spare(number)

    def retire(self, segments: list[Segment]) -> None:
        """These are out of service; they are closed once nobody reads them."""
        for one in segments:
            self.later(partial(self._recycle, one))

    def later(self, chore: Callable[[], None]) -> None:
        """To be done on the thread of the spares, in order."""
        with self._changed:
            self._chores.append(chore)
            self._changed.notify_all()

    def settle(self) -> None:
        """Wait until nothing is left to do but filling files, which may stop at any time."""
        with self._changed:
            self._changed.wait_for(lambda: not (self._busy or self._has_work()))

    # ---- the thread

    def _has_work(self) -> bool:
        return bool(self._chores or self._wanted)

    def _run(self) -> None:
        while self._next():
            try:
                self._work()
            except (OSError, StoreError) as error:
                self._unfilled = False
                log.warning("a segment out of service could not be worked on: %s", error)

    def _next(self) -> bool:
        """Wait for work, or for the time to fill a little more. What has to be done once is done
        even when stopping."""
        with self._changed:
            self._busy = False
            self._changed.notify_all()
            patience = QUIET_S if self._unfilled else None
            self._changed.wait_for(lambda: self._stopping or self._has_work(), patience)
            self._busy = self._has_work()
            return bool(self._chores) or not self._stopping

    def _work(self) -> None:
        while self._chores:
            self._chores.popleft()()
        if not self._made_wanted() and self._unfilled:
            self._fill()

    def _made_wanted(self) -> bool:
        """Whether there was a wish. It is read with the files in hand: one that the log has served
        itself meanwhile is over, else the file that it took would be made again under it."""
        with self._files:
            with self._changed:
                wanted, self._wanted = self._wanted, 0
            if wanted and not self._stopping:
                self._make_ready(wanted)
                self._unfilled = True
        return bool(wanted)

    def _recycle(self, one: Segment) -> None:
        one.close()
        path = self._directory.spare(one.header.number)
        self._directory.rename(one.path, path)
        self._clean_or_remove(path)

    def _clean_or_remove(self, path: Path) -> None:
        with self._files:
            keep = len(self._clean) < KEPT
            if keep:
                self._wipe(path)
                self._clean.append(path)
        if not keep:
            self._remove(path)

    def _wipe(self, path: Path) -> None:
        lock_of(path).unlink(missing_ok=True)
        with path.open("r+b") as file:
            file.write(self._template)
            file.flush()
            os.fdatasync(file.fileno())

    def _remove(self, path: Path) -> None:
        """In steps: giving back a large file at once would hold up every flush meanwhile."""
        lock_of(path).unlink(missing_ok=True)
        for size in range(path.stat().st_size - CUT_BYTES, 0, -CUT_BYTES):
            os.truncate(path, size)
        path.unlink()

    def _make_ready(self, number: int) -> None:
        if self._ready and self._ready[0] == number:
            return
        if self._ready:
            self._wipe(self._ready[1])
            self._clean.append(self._ready[1])
            self._ready = None
        path = self._clean.pop() if self._clean else self._new(number)
        header = Header(self._store_id, self._epoch, number)
        segment.prepare(path, header, self.map_bytes)
        self._ready = number, path

    def _new(self, number: int) -> Path:
        """A file of this name that is there already was left half made by a crash."""
        path = self._directory.spare(number)
        path.unlink(missing_ok=True)
        return path

    def _fill(self) -> None:
        """Write a little more of the ready file's blocks, if the log was quiet meanwhile:
        committing into blocks that are already there saves the file system half its work."""
        before, self._seen = self._seen, self._written()
        if self._seen - before < QUIET_BYTES:
            with self._files:
                self._unfilled = self._ready is not None and self._grow(self._ready[1])

    def _grow(self, path: Path) -> bool:
        size = path.stat().st_size
        step = min(FILL_BYTES, self._segment_bytes - size)
        if step <= 0 or engine.free_bytes(path) < 2 * self._segment_bytes:
            return False
        with path.open("ab") as file:
            file.write(bytes(step))
            file.flush()
            os.fdatasync(file.fileno())
        return True

    def _made_template(self) -> bytes:
        """The two meta pages of an empty database."""
        path = self._directory.path / "template.new"
        engine.open_env(path, self.map_bytes, create=True).close()
        with path.open("rb") as file:
            pages = file.read(2 * engine.page_size())
        path.unlink()
        lock_of(path).unlink(missing_ok=True)
        return pages
