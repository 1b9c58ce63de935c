"""What the core is tested against instead of a disk.

`StateStore` takes state ops as the real records do, and is strict where those are forgiving: it
refuses an op that names a record or bytes that are not there.
"""

from __future__ import annotations

from collections.abc import Iterable

from laybyd.core import effects as fx
from laybyd.core import events as ev
from laybyd.core.intervals import RangeSet
from laybyd.core.types import GroupState, Parked


class StateStore:
    """The delivery state as the real store would keep it: what is read back is what was put."""

    def __init__(self) -> None:
        self.groups: dict[int, GroupState] = {}
        self.done: dict[int, RangeSet] = {}
        self.lanes: dict[tuple[int, str], dict[int, Parked]] = {}
        self.bodies: set[tuple[int, int]] = set()
        self.damaged: set[tuple[int, int]] = set()
        self.forgotten: dict[str, int] = {}

    def commit(self, ops: Iterable[fx.StateOp]) -> None:
        ops = list(ops)
        for op in ops:
            if isinstance(op, fx.Park):
                for piece in op.body:
                    if piece.lane != "live" and (op.record.gid, piece.block) in self.damaged:
                        self.damaged.add((op.record.gid, op.record.block))
                    elif piece.lane != "live":
                        assert (op.record.gid, piece.block) in self.bodies, "cut from no body"
        for op in ops:
            getattr(self, "_" + type(op).__name__.lower())(op)

    def lane(self, gid: int, lane: str) -> dict[int, Parked]:
        """Records by their last position, as in the real store."""
        return self.lanes.setdefault((gid, lane), {})

    def _savegroup(self, op) -> None:
        old = self.groups.get(op.record.gid)
        new = GroupState(op.record, op.record.start, (), (), 0, 0, 0, 0)
        self.groups[op.record.gid] = new if old is None else old._replace(record=op.record)
        self.done.setdefault(op.record.gid, RangeSet())

    def _dropgroup(self, op) -> None:
        del self.groups[op.gid]
        del self.done[op.gid]
        for key in [key for key in self.lanes if key[0] == op.gid]:
            del self.lanes[key]
        self.bodies = {key for key in self.bodies if key[0] != op.gid}

    def _delta(self, op) -> None:
        for first, last in op.ranges:
            self.done[op.gid].add(first, last)

    def _snapshot(self, op) -> None:
        before = RangeSet(self.done[op.gid])
        self.done[op.gid] = RangeSet(op.done)
        if op.floor > 1:
            self.done[op.gid].add(1, op.floor - 1)
        for first, last in before:
            assert not self.done[op.gid].gaps(first, last), "a snapshot forgets what was done"

    def _account(self, op) -> None:
        self.groups[op.gid] = self.groups[op.gid]._replace(
            deferred=op.deferred,
            deferred_bytes=op.deferred_bytes,
            dead=op.dead,
            dead_bytes=op.dead_bytes,
        )

    def _park(self, op) -> None:
        gid, record = op.record.gid, op.record
        if op.old is not None:
            lane, old = op.old
            assert self.lane(gid, lane).pop(old.last) == old, "replaces another record"
            if not old.in_log and (record.in_log or old.block != record.block):
                self.bodies.discard((gid, old.block))
        assert record.last not in self.lane(gid, op.lane), "two records in one place"
        self.lane(gid, op.lane)[record.last] = record
        if op.body:
            self.bodies.add((gid, record.block))
        elif not record.in_log and op.old is None:
            self.damaged.add((gid, record.block))
        elif not record.in_log and (gid, record.block) not in self.damaged:
            assert (gid, record.block) in self.bodies, "its bytes are gone"

    def _unpark(self, op) -> None:
        assert self.lane(op.record.gid, op.lane).pop(op.record.last) == op.record
        if op.body:
            self.bodies.discard((op.record.gid, op.record.block))

    def _forgettopic(self, op) -> None:
        self.forgotten[op.topic] = op.below
        if not op.below:
            del self.forgotten[op.topic]

    def due(self, op: fx.LoadDue) -> ev.DueLoaded:
        found = sorted(self.lane(op.gid, "deferred").values(), key=lambda r: (r.due_us, r.first))
        found = [one for one in found if (one.due_us, one.first) > op.after]
        return ev.DueLoaded(op.group, tuple(found[: op.limit]), len(found) > op.limit)

    def find(self, op: fx.FindParked) -> ev.ParkedFound:
        wanted = RangeSet(op.ranges or ((1, 1 << 53),))
        found = sorted(self.lane(op.gid, op.lane).values(), key=lambda one: one.first)
        found = [
            one for one in found if one.first > op.after and wanted.overlap(one.first, one.last)
        ]
        return ev.ParkedFound(op.token, tuple(found[: op.limit]), len(found) > op.limit)

    def load(self) -> list[GroupState]:
        loaded = []
        for gid, state in self.groups.items():
            done = RangeSet(self.done[gid])
            floor = max(state.record.start, 1)
            if done and done.first <= floor:
                floor = max(floor, done.pop_first()[1] + 1)
            loaded.append(state._replace(floor=floor, done=tuple(done), pinned=self._pinned(gid)))
        return loaded

    def _pinned(self, gid: int) -> tuple[tuple[int, int], ...]:
        parked = [one for lane in ("deferred", "dead") for one in self.lane(gid, lane).values()]
        return tuple(RangeSet((one.first, one.last) for one in parked if one.in_log))
