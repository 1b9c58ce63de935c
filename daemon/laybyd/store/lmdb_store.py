"""The embedded store: a directory with a log of segments and one state file.

Owns the life of the parts: who may use them, in which order they open and close, and what a
failed commit means for all of them. Must never know blocks' insides or delivery rules.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from laybyd.clock import monotonic_us
from laybyd.store import engine, records
from laybyd.store.base import (
    Appended,
    Damaged,
    Fence,
    Fenced,
    Postponed,
    Room,
    StoreFacts,
    Unavailable,
    Unknown,
)
from laybyd.store.directory import Directory
from laybyd.store.segments import Segments
from laybyd.store.spares import Spares
from laybyd.store.statedb import FORMAT, Meta, StateDb

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from laybyd.core.types import ProducerState, Row, TopicState
    from laybyd.store.base import NewBlock, Put

ID_BYTES = 16


class LmdbStore:
    """`state_bytes` of `max_bytes` are for the delivery state (a quarter when not said)."""

    def __init__(
        self,
        path: Path,
        max_bytes: int = 10 << 30,
        segment_bytes: int = 256 << 20,
        state_bytes: int | None = None,
    ) -> None:
        self._directory = Directory(path)
        self._max_bytes = max_bytes
        self._segment_bytes = segment_bytes
        self._state_bytes = max_bytes // 4 if state_bytes is None else state_bytes
        self._writing = threading.Lock()
        self._is_open = False
        self._fence: Fence | None = None
        self._broken: Unknown | Damaged | None = None
        self._recovery_ms = 0
        self._last_us = 0

    # ---- ownership

    def acquire(self) -> Fence:
        began_us = monotonic_us()
        if not self._is_open:
            self._directory.own()
            try:
                self._open()
            except OSError as error:
                self._directory.disown()
                raise engine.unusable(error, self._directory.path) from error
            except BaseException:
                self._directory.disown()
                raise
        try:
            self._fence = self._next_boot()
            records.begin_boot(self, self._fence)
            self._last_us = records.load_clock(self)
        except BaseException:
            self.close()
            raise
        self._recovery_ms = (monotonic_us() - began_us) // 1_000
        return self._fence

    def _open(self) -> None:
        self._directory.remove_leftovers()
        if not self._directory.state.exists():
            self._create()
        engine.check_structure(self._directory.state)
        state = self._opened_state(self._directory.state)
        try:
            meta = state.load_meta()
            self._spares = Spares(
                self._directory,
                meta.store_id,
                meta.epoch,
                self._segment_bytes,
                lambda: self._written,
            )
            self._log = Segments(
                self._directory,
                state,
                self._spares,
                self._segment_bytes,
                self._max_bytes - self._state_bytes,
            )
            self._log.open()
            state.take_ballast()
        except BaseException:
            state.close()
            raise
        self._state = state
        self._written = 0
        self._broken = None
        self._spares.start()
        self._is_open = True

    def _opened_state(self, path: Path, create: bool = False) -> StateDb:
        return StateDb(path, self._state_bytes, create)

    def _create(self) -> None:
        """Under another name first: a crash leaves a whole store or none."""
        if self._directory.segments():
            raise Damaged(
                f"{self._directory.state} is missing, but there is a log; "
                "restore the store from a backup"
            )
        made = self._directory.path / "state.new"
        state = self._opened_state(made, create=True)
        try:
            state.set_meta(Meta(FORMAT, os.urandom(ID_BYTES), 1, 1, 0, 1, 0))
        finally:
            state.close()
        self._directory.rename(made, self._directory.state)

    def _next_boot(self) -> Fence:
        meta = self._state.meta
        self._state.set_meta(meta._replace(boot=meta.boot + 1))
        return Fence(meta.store_id, meta.epoch, meta.boot + 1)

    def close(self) -> None:
        with self._writing:
            if not self._is_open:
                return
            self._is_open = False
            self._fence = None
            self._spares.stop()
            self._log.close()
            self._state.close()
            self._directory.disown()

    def _check(self, fence: Fence) -> None:
        if self._broken:
            raise self._broken
        if self._fence is None:
            raise Unavailable("the store is closed")
        if fence != self._fence:
            raise Fenced(f"boot {fence.boot} has been replaced by boot {self._fence.boot}")

    @contextmanager
    def _last_if_failed(self) -> Iterator[None]:
        """A step of which the outcome is not known, or that lacked a file, is the last one."""
        try:
            yield
        except (Unknown, Damaged) as error:
            self._broken = error
            raise
        except Postponed:
            raise
        except Unavailable as error:
            self._broken = Unknown(str(error))
            raise self._broken from error

    # ---- the log

    def append(self, fence: Fence, blocks: Sequence[NewBlock], now_us: int) -> Appended:
        with self._writing:
            self._check(fence)
            if not blocks:
                return Appended(())
            with self._last_if_failed():
                rows = self._log.append(blocks, max(now_us, self._last_us))
            self._written += sum(row.size for row in rows)
            return Appended(rows)

    def read(self, position: int) -> tuple[Row, bytes]:
        return self._log.read(position)

    def rows(self, first: int, limit: int) -> tuple[list[Row], int]:
        return self._log.rows(first, limit)

    def find_time(self, at_us: int) -> int:
        return self._log.find_time(at_us)

    def topics(self) -> list[TopicState]:
        return self._log.topics()

    def producers(self) -> list[ProducerState]:
        return self._log.producers()

    def trim(self, fence: Fence, below: int) -> int:
        with self._writing:
            self._check(fence)
            with self._last_if_failed():
                return self._log.trim(below)

    def room(self) -> Room:
        return Room(
            used=self._log.used + self._state.used,
            limit=self._max_bytes,
            log_full=self._log.is_full,
            state_full=self._state.is_full,
            state_spent=self._state.is_spent,
            disk_full=self._log.is_disk_full,
        )

    def facts(self) -> StoreFacts:
        return StoreFacts(
            segments=len(self._log.segments),
            spare_segments=self._spares.files,
            start=self._log.start,
            end=self._log.end,
            used=self._log.used + self._state.used,
            limit=self._max_bytes,
            last_us=max(self._log.last_us, self._last_us),
            recovery_ms=self._recovery_ms,
            kind="lmdb",
        )

    # ---- the state

    def commit_state(self, fence: Fence, puts: Sequence[Put]) -> None:
        self._check(fence)
        with self._last_if_failed():
            self._state.commit(puts)

    def read_state(self, first: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        return self._state.read_state(first, end, limit)

    # ---- upkeep

    def housekeep(self) -> None:
        if self._fence is not None:
            self._log.housekeep()
            self._state.housekeep()
