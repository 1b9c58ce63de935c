"""A store that lives in memory: the verified fake of tests, simulation and `layby.testing`.

Owns the same promises as the real one, and the faults a test may ask for. Must never be chosen
for data that matters. With `auto_sync` off, what was taken since the last `sync` is lost by
`crash`, whole batches at a time.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, NamedTuple

from laybyd.core.types import Row
from laybyd.store import limits, records
from laybyd.store.base import (
    Appended,
    Fence,
    Fenced,
    Full,
    Room,
    StoreError,
    StoreFacts,
    Unavailable,
)
from laybyd.store.ordered import OrderedMap, Undo
from laybyd.store.producers import ProducerTable
from laybyd.store.topics import TopicRows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from laybyd.core.types import ProducerState, TopicState
    from laybyd.store.base import NewBlock, ProducerRow, Put


class _Stored(NamedTuple):
    row: Row
    body: bytes
    producers: tuple[ProducerRow, ...]


class _Fault(NamedTuple):
    error: StoreError
    applied: bool


class MemoryStore:
    def __init__(
        self,
        max_bytes: int = 1 << 30,
        state_bytes: int | None = None,
        store_id: bytes = b"memory" + bytes(10),
        auto_sync: bool = True,
    ) -> None:
        self.auto_sync = auto_sync
        self._state_limit = max_bytes // 4 if state_bytes is None else state_bytes
        self._log_limit = max_bytes - self._state_limit
        self._id = store_id
        self._lock = threading.RLock()
        self._fence: Fence | None = None
        self._boot = 0
        self._start = self._end = 1
        self._last_us = 0
        self._blocks: list[_Stored] = []
        self._firsts: list[int] = []
        self._log_bytes = 0
        self._topics = TopicRows()
        self._gone = ProducerTable()
        self._map = OrderedMap()
        self._unsynced_log: list[int] = []
        self._unsynced_state: list[Undo] = []
        self._full = (False, False)
        self._faults: dict[str, _Fault] = {}

    # ---- ownership

    def acquire(self) -> Fence:
        with self._lock:
            self.sync()
            self._boot += 1
            self._fence = Fence(self._id, 1, self._boot)
            records.begin_boot(self, self._fence)
            self.sync()
            self._last_us = max(self._last_us, records.load_clock(self))
            return self._fence

    def close(self) -> None:
        with self._lock:
            self._fence = None

    def _check(self, fence: Fence) -> None:
        if self._fence is None:
            raise Unavailable("the store is closed")
        if fence != self._fence:
            raise Fenced(f"boot {fence.boot} has been replaced by boot {self._fence.boot}")

    # ---- the log

    def append(self, fence: Fence, blocks: Sequence[NewBlock], now_us: int) -> Appended:
        with self._lock:
            self._check(fence)
            size = sum(len(block.body) for block in blocks)
            if self._full[0] or self._log_bytes + size > self._log_limit:
                raise Full("the log is full")
            fault = self._fault("append")
            if fault and not fault.applied:
                raise fault.error
            rows = self._take(blocks, max(now_us, self._last_us))
            if fault:
                raise fault.error
            return Appended(rows)

    def _take(self, blocks: Sequence[NewBlock], at_us: int) -> tuple[Row, ...]:
        before = len(self._blocks)
        for block in blocks:
            row = Row(self._end, block.messages, block.topic, len(block.body), at_us)
            self._blocks.append(_Stored(row, bytes(block.body), block.producers))
            self._firsts.append(row.first)
            self._topics.add(row)
            self._end += block.messages
            self._log_bytes += row.size
        self._last_us = at_us
        if not self.auto_sync:
            self._unsynced_log.append(len(blocks))
        return tuple(stored.row for stored in self._blocks[before:])

    def read(self, position: int) -> tuple[Row, bytes]:
        with self._lock:
            stored = self._blocks[self._holding(position)]
            return stored.row, stored.body

    def _holding(self, position: int) -> int:
        if not self._start <= position < self._end:
            raise KeyError(position)
        return bisect_right(self._firsts, position) - 1

    def rows(self, first: int, limit: int) -> tuple[list[Row], int]:
        with self._lock:
            first = max(first, self._start)
            if first >= self._end:
                return [], self._end
            at = self._holding(first)
            rows = [stored.row for stored in self._blocks[at : at + limit]]
            return rows, rows[-1].last + 1

    def find_time(self, at_us: int) -> int:
        with self._lock:
            at = bisect_left(self._blocks, at_us, key=lambda stored: stored.row.at_us)
            return self._firsts[at] if at < len(self._firsts) else self._end

    def topics(self) -> list[TopicState]:
        with self._lock:
            return self._topics.states()

    def producers(self) -> list[ProducerState]:
        with self._lock:
            table = ProducerTable()
            table.load(self._gone.dump(0))
            for stored in self._blocks:
                _note(table, stored)
            return table.states(self._last_us)

    def trim(self, fence: Fence, below: int) -> int:
        with self._lock:
            self._check(fence)
            if fault := self._fault("trim"):
                raise fault.error
            self.sync()
            upto = bisect_right(self._firsts, min(below, self._end)) - 1
            if below >= self._end:
                upto = len(self._blocks)
            for stored in self._blocks[: max(upto, 0)]:
                _note(self._gone, stored)
                self._topics.drop(stored.row)
                self._log_bytes -= stored.row.size
                self._start = stored.row.last + 1
            del self._blocks[: max(upto, 0)], self._firsts[: max(upto, 0)]
            return self._start

    def room(self) -> Room:
        used = self._log_bytes + self._map.size
        log_limit = self._log_limit - limits.log_headroom(self._log_limit)
        return Room(
            used=used,
            limit=self._log_limit + self._state_limit,
            log_full=self._full[0] or self._log_bytes > log_limit,
            state_full=self._full[1] or limits.is_state_full(self._map.size, self._state_limit),
            state_spent=limits.is_state_spent(self._map.size, self._state_limit),
        )

    def facts(self) -> StoreFacts:
        room = self.room()
        return StoreFacts(
            segments=1,
            spare_segments=0,
            start=self._start,
            end=self._end,
            used=room.used,
            limit=room.limit,
            last_us=self._last_us,
            recovery_ms=0,
            kind="memory",
        )

    # ---- the state

    def commit_state(self, fence: Fence, puts: Sequence[Put]) -> None:
        with self._lock:
            self._check(fence)
            size = sum(len(put[1] or b"") for put in puts)
            budget = -limits.RESERVE_BYTES if self._full[1] else self._state_limit
            if not limits.takes_state(self._map.size, size, budget):
                raise Full("the state store is full")
            fault = self._fault("commit_state")
            if fault and not fault.applied:
                raise fault.error
            undo = self._map.apply(puts)
            if not self.auto_sync:
                self._unsynced_state.append(undo)
            if fault:
                raise fault.error

    def read_state(self, first: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        with self._lock:
            return self._map.read(first, end, limit)

    # ---- upkeep

    def housekeep(self) -> None:
        """Nothing lingers in memory."""

    # ---- what a test may do to it

    def sync(self) -> None:
        """All that was taken is on the disk."""
        self._unsynced_log.clear()
        self._unsynced_state.clear()

    def crash(self, keep_log: int = 0, keep_state: int = 0) -> None:
        """Lose the batches that were not synced, but for the first ones of each kind that the
        disk happened to have; whoever owned the store is gone."""
        with self._lock:
            for blocks in reversed(self._unsynced_log[keep_log:]):
                self._lose(blocks)
            for undo in reversed(self._unsynced_state[keep_state:]):
                self._map.undo(undo)
            self.sync()
            self._fence = None

    def _lose(self, blocks: int) -> None:
        for stored in reversed(self._blocks[len(self._blocks) - blocks :]):
            self._topics.undo(stored.row)
            self._log_bytes -= stored.row.size
            self._end = stored.row.first
        del self._blocks[len(self._blocks) - blocks :]
        del self._firsts[len(self._firsts) - blocks :]
        self._last_us = self._blocks[-1].row.at_us if self._blocks else 0

    def set_full(self, log: bool = False, state: bool = False) -> None:
        self._full = (log, state)

    def damage(self, position: int, offset: int = -1) -> None:
        """Flip one bit of the stored block that holds the position."""
        with self._lock:
            at = self._holding(position)
            body = bytearray(self._blocks[at].body)
            body[offset] ^= 1
            self._blocks[at] = self._blocks[at]._replace(body=bytes(body))

    def fail_next(self, step: str, error: StoreError, applied: bool = False) -> None:
        """Let the next `append`, `trim` or `commit_state` raise this; `applied` tells whether it
        was done all the same, which is what an unknown outcome may mean."""
        self._faults[step] = _Fault(error, applied)

    def _fault(self, step: str) -> _Fault | None:
        return self._faults.pop(step, None)


def _note(table: ProducerTable, stored: _Stored) -> None:
    for one in stored.producers:
        position = stored.row.first + one.offset
        table.note(one.producer, one.seq, position, one.crc, stored.row.at_us)
