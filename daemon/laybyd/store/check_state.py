"""Is the delivery state whole? Every record reads, and the records agree with each other.

Owns the questions asked of the state file. Must never know delivery rules nor mend anything. A
parked record without bytes is no damage: it is what becomes of a block that was damaged before.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from laybyd.core.types import DEAD, DEFERRED
from laybyd.store import keys, records, values
from laybyd.store.base import Damaged
from laybyd.store.check_log import Found
from laybyd.store.statedb import open_to_read

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from laybyd.core.types import Parked
    from laybyd.store.records import Readable

_SEALED = (keys.ACCOUNT, keys.CLOCK, keys.DELTA, keys.FLOOR, keys.GROUP, keys.FORGOTTEN)


def check_state(path: Path, block_ok: Callable[[bytes], bool], end: int) -> Found:
    """`end` is the end of the log."""
    state = open_to_read(path)
    try:
        look = _Look(state, block_ok, end)
        look.all()
        return look.found
    finally:
        state.close()


class _Look:
    def __init__(self, state: Readable, block_ok: Callable[[bytes], bool], end: int) -> None:
        self.found = Found(Counter(), [])
        self._state = state
        self._block_ok = block_ok
        self._end = end
        self._groups: set[int] = set()
        self._parked: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0])
        self._timers: set[bytes] = set()
        self._bodies: set[bytes] = set()
        self._pins: dict[int, set[tuple[int, int]]] = defaultdict(set)

    def all(self) -> None:
        for key, value in records.scan(self._state, *records.ALL):
            self.found.sums["records"] += 1
            try:
                self._one(key, value)
            except Damaged as error:
                self._wrong(str(error))
        for key, _ in records.scan(self._state, *keys.all_of(keys.TIMER)):
            if key not in self._timers:
                self._wrong(f"the timer {key.hex()} has no record")
        for key, _ in records.scan(self._state, *keys.all_of(keys.BODY)):
            if key not in self._bodies:
                self._wrong(f"the bytes {key.hex()} have no record")
        for gid in sorted(self._groups):
            self._check_group(gid)

    def _wrong(self, problem: str) -> None:
        self.found.problems.append(problem)

    def _one(self, key: bytes, value: bytes) -> None:
        letter = key[:1]
        if letter in keys.LANES.values():
            self._check_parked(key, values.parked(values.unseal(key, value)))
        elif letter == keys.BODY:
            if not self._block_ok(value):
                self._wrong(f"the bytes {key.hex()} fail their checksum")
        elif letter in _SEALED or letter in (keys.DROPPED, keys.PIN):
            values.unseal(key, value)
        elif letter != keys.TIMER:
            self._wrong(f"nobody knows what the record {key.hex()} is")
        if letter == keys.GROUP:
            self._groups.add(keys.gid_of(key))

    def _check_parked(self, key: bytes, record: Parked) -> None:
        lane = DEFERRED if key[:1] == keys.LANES[DEFERRED] else DEAD
        if key != keys.record(lane, record.gid, record.last) or record.first > record.last:
            self._wrong(f"the record {key.hex()} is of other messages than its key says")
        if record.last >= self._end:
            self._wrong(f"the record {key.hex()} is beyond the end of the log")
        if lane == DEFERRED:
            self._timers.add(keys.timer(record.gid, record.due_us, record.first))
        sums = self._parked[lane, record.gid]
        sums[0] += record.messages
        if record.in_log:
            self._pins[record.gid].add((record.first, record.last))
        else:
            sums[1] += record.size
            self._bodies.add(keys.body(record.gid, record.block))

    def _check_group(self, gid: int) -> None:
        (state,) = records.load_groups_at(self._state, self._end, (gid,))
        counted = (*self._parked[DEFERRED, gid], *self._parked[DEAD, gid])
        said = (state.deferred, state.deferred_bytes, state.dead, state.dead_bytes)
        if counted != said:
            self._wrong(f"group {state.record.name} counts {said} parked, there are {counted}")
        pins = set(records.load_pins(self._state, gid))
        for first, last in sorted(self._pins[gid] - pins):
            self._wrong(f"group {state.record.name}: {first}-{last} does not pin its log")
        for first, last in sorted(pins - self._pins[gid]):
            self._wrong(f"group {state.record.name}: {first}-{last} pins the log for no record")
