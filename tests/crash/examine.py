"""Is what recovery makes of a store all that was promised, and nothing else?

Owns the questions: the log against the confirmed pushes, each group against the confirmed settles,
the producers' rows, and whether the store goes on working. Must never know how the state came
about; works on a directory and a client's knowledge. Run it in a child: damaged pages end who
reads them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from laybyd.core.types import DEAD as DEAD_LANE
from laybyd.core.types import DEFERRED
from laybyd.store import check, records
from laybyd.store.base import StoreError, Unavailable
from laybyd.store.lmdb_store import LmdbStore
from laybyd.wire import block as blocks
from loadtests.wire import bodies
from tests.crash.going_on import goes_on
from tests.crash.knowledge import DEAD, DONE, LIVE, Knowledge, body, name_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from laybyd.config import Config
    from laybyd.core.types import GroupState, Parked
    from tests.crash.knowledge import Group, State

ALL = 1 << 20


def examine(path: Path, known: Knowledge, config: Config) -> list[str]:
    """What is wrong, as sentences."""
    found = list(checked(path, known))
    section = config.store
    store = LmdbStore(path, section.max_bytes, section.segment_bytes)
    try:
        fence = store.acquire()
        try:
            exam = Examination(store, known)
            found += exam.problems()
            found += found or goes_on(store, fence, config, known, exam.positions, exam.is_pinned())
        finally:
            store.close()
    except StoreError as error:
        found.append(f"{type(error).__name__}: {error}")
    return found


def checked(path: Path, known: Knowledge) -> Iterator[str]:
    """The verdict of `layby store check`, which asks the engine's own verifier first."""
    try:
        yield from check.walk(path, blocks.crc_ok).problems
    except Unavailable as error:
        if known.positions or any(group.confirmed for group in known.groups.values()):
            yield f"the check says: {error}"


class Examination:
    def __init__(self, store: LmdbStore, known: Knowledge) -> None:
        self._store = store
        self._known = known
        self._start, self._end = store.facts().start, store.facts().end
        self.positions: dict[str, int] = {}
        """Where each message stands in the log."""
        self._done: dict[str, set[int]] = {}
        """By group; what is parked counts as done."""
        self._in_log: set[int] = set()
        """What is parked without its bytes, for want of room, and so pins the log."""

    def problems(self) -> list[str]:
        found = list(self._log())
        groups = {state.record.name: state for state in records.load_groups(self._store)}
        invented = groups.keys() - self._known.groups.keys()
        found += [f"group {name} was invented" for name in invented]
        for name, group in self._known.groups.items():
            state = groups.get(name)
            if state:
                found += [f"group {name}: {one}" for one in self._group(state, group)]
            elif group.confirmed:
                found.append(f"group {name} is gone")
        self._groups = groups
        found += self._confirmed()
        found += self._producers()
        return found

    # ---- the log

    def _log(self) -> Iterator[str]:
        at = self._start
        while at < self._end:
            row, data = self._store.read(at)
            if row.first != at:
                yield f"the block of {at} begins at {row.first}"
            for offset, one in enumerate(bodies(data)):
                yield from self._message(at + offset, row.topic, one)
            at = row.last + 1
        rows, upto = self._store.rows(self._start, ALL)
        if upto != self._end or sum(row.messages for row in rows) != self._end - self._start:
            yield f"the index names {len(rows)} blocks up to {upto}, the log ends at {self._end}"

    def _message(self, position: int, topic: str, data: bytes) -> Iterator[str]:
        name = name_of(data)
        push = self._known.pushes.get(name)
        if push is None:
            yield f"{name} at {position} was invented, or refused when it was pushed"
        elif push.topic != topic or data != body(name, push.size):
            yield f"{name} at {position} is not what was pushed"
        elif name in self.positions:
            yield f"{name} is at {self.positions[name]} and at {position}"
        self.positions[name] = position

    def _confirmed(self) -> Iterator[str]:
        """Each where it was confirmed to be, or below the log's start with all groups done."""
        for name, position in self._known.positions.items():
            if position >= self._start:
                if self.positions.get(name) != position:
                    where = self.positions.get(name, "nowhere")
                    yield f"{name}, confirmed at {position}, is {where}"
            elif any(self._is_live(state, position) for state in self._groups.values()):
                yield f"{name} at {position} is needed, but the log begins at {self._start}"

    def _is_live(self, state: GroupState, position: int) -> bool:
        return position >= state.record.start and position not in self._done[state.record.name]

    def is_pinned(self) -> bool:
        oldest = self._store._log.segments[0]
        span = range(oldest.base, oldest.end)
        groups = self._groups.values()
        waits = any(self._is_live(state, position) for state in groups for position in span)
        return waits or not self._in_log.isdisjoint(span)

    # ---- groups

    def _group(self, state: GroupState, group: Group) -> Iterator[str]:
        gid = state.record.gid
        parked = {lane: self._parked(gid, lane) for lane in (DEFERRED, DEAD_LANE)}
        done = set(range(1, state.floor)).union(*(range(low, up + 1) for low, up in state.done))
        self._done[state.record.name] = done
        for position in range(1, self._end):
            found = _state(parked, done, position)
            if found not in group.allowed(position):
                right = sorted(map(str, group.allowed(position)))
                yield f"{position} is {found}, right is {' or '.join(right)}"
        for records_of in parked.values():
            for record in records_of.values():
                yield from self._parked_bytes(record)
                if record.in_log:
                    self._in_log.update(range(record.first, record.last + 1))
        counts = (state.deferred, state.dead)
        if counts != tuple(map(len, parked.values())):
            yield f"counts {counts} of deferred and dead, has {[*map(len, parked.values())]}"
        due = len(records.load_due(self._store, gid, (0, 0), ALL)[0])
        if due != state.deferred:
            yield f"{due} timers for {state.deferred} deferred messages"

    def _parked(self, gid: int, lane: str) -> dict[int, Parked]:
        found, _ = records.find_parked(self._store, gid, lane, (), 0, ALL)
        return {record.first: record for record in found}

    def _parked_bytes(self, record: Parked) -> Iterator[str]:
        if record.in_log:
            return
        kept = bodies(records.parked_body(self._store, record.gid, record.block))
        name = name_of(kept[0])
        push = self._known.pushes.get(name)
        place = self._known.positions.get(name, self.positions.get(name))
        if push is None or len(kept) != 1 or kept[0] != body(name, push.size):
            yield f"the parked bytes of {record.first} are not what was pushed"
        elif place not in (None, record.first):
            yield f"the parked bytes of {record.first} are {name}'s, which is at {place}"

    # ---- producers

    def _producers(self) -> Iterator[str]:
        states = {state.producer.decode(): state for state in self._store.producers()}
        for producer, last in self._known.last_seq.items():
            if producer not in states or states[producer].last_seq < last:
                yield f"producer {producer} is not known to have had {last} confirmed"
        for producer, state in states.items():
            rows = {seq: position for seq, position, _ in state.recent}
            yield from self._sequence(producer, state.last_seq, rows)

    def _sequence(self, producer: str, last: int, rows: dict[int, int]) -> Iterator[str]:
        for name, push in self._known.pushes.items():
            if push.producer != producer or name != push.names[0]:
                continue
            place = self.positions.get(name, self._known.positions.get(name))
            if place is not None and rows.pop(push.seq, None) != place:
                yield f"producer {producer}: push {push.seq} is not known to be at {place}"
            if place is not None and push.seq > last:
                yield f"producer {producer}: push {push.seq} is stored, the last is {last}"
        lost = {seq: at for seq, at in rows.items() if at >= self._start}
        if lost:
            yield f"producer {producer}: the log does not have its pushes {lost}"


def _state(parked: dict[str, dict[int, Parked]], done: set[int], position: int) -> State:
    """A message that is parked and not done would be handed out twice."""
    record = parked[DEFERRED].get(position) or parked[DEAD_LANE].get(position)
    if record is None:
        return DONE if position in done else LIVE
    if position not in done:
        return ("twice",)
    return DEAD if position in parked[DEAD_LANE] else ("deferred", record.attempts)
