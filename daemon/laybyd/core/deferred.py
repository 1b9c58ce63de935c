"""The defer queue of a group, as much of it as is in memory.

Owns the head of the queue: every record up to a horizon in (due, position) order, but for those
that are out. The rest lies on the disk and is loaded when the head runs low. Must never know why a
record is here or who gets it.

Due times are layby time, which is never earlier than the time anything was parked at; so what
remains of a delay after a restart is at most the delay itself.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import NamedTuple

from laybyd.core.effects import LoadDue
from laybyd.core.intervals import ByPosition
from laybyd.core.types import Parked

Key = tuple[int, int]
NOTHING: Key = (0, 0)
SAME_TOPIC_AMONG = 64
"""A lease has one topic: so far down the queue is looked for more of the oldest one's."""


def key_of(record: Parked) -> Key:
    return record.due_us, record.first


class Waits(NamedTuple):
    """A record in the head. `undone` counts hand-outs of this boot that left no history."""

    record: Parked
    undone: int = 0

    @property
    def first(self) -> int:
        return self.record.first

    @property
    def last(self) -> int:
        return self.record.last


class Deferred:
    """`horizon` None: nothing lies beyond the head."""

    def __init__(self, group: str, gid: int, records: int, head_records: int) -> None:
        self._group = group
        self._gid = gid
        self._head_records = head_records
        self._order: list[Key] = []
        self._head: ByPosition[Waits] = ByPosition()
        self.horizon: Key | None = NOTHING if records else None
        self.out: ByPosition[Parked] = ByPosition()
        self.loading = False
        self._changed: set[int] = set()
        self._beyond: dict[int, Parked] = {}

    @property
    def complete(self) -> bool:
        """Every waiting record is in the head."""
        return self.horizon is None and not self.loading

    @property
    def next_due(self) -> int | None:
        return self._order[0][0] if self._order else None

    # ---- records come and go --------------------------------------------------------------------

    def insert(self, record: Parked, undone: int = 0) -> None:
        """A record that waits (again). Beyond the horizon the disk alone knows it."""
        if self.horizon is not None and key_of(record) > self.horizon:
            if self.loading:
                # What is being read may hold it too, as it was.
                self._changed.add(record.first)
                self._beyond[record.first] = record
            return
        insort(self._order, key_of(record))
        self._head.add(Waits(record, undone))
        if len(self._order) > 2 * self._head_records:
            self._shorten()

    def remove(self, record: Parked) -> None:
        """A record that is gone or was replaced, wherever it was."""
        self.out.pop(record.first)
        if self.loading:
            self._changed.add(record.first)
            self._beyond.pop(record.first, None)
        waits = self._head.get(record.first)
        if waits is not None:
            self._head.pop(record.first)
            self._forget_order(waits.record)

    def overlap(self, first: int, last: int) -> list[Parked]:
        """Waiting records in the head that touch `first .. last`."""
        return [waits.record for waits in self._head.overlap(first, last)]

    def _forget_order(self, record: Parked) -> None:
        at = bisect_left(self._order, key_of(record))
        assert self._order[at] == key_of(record), "the head has lost a record's place"
        del self._order[at]

    def _shorten(self) -> None:
        for _, first in self._order[self._head_records :]:
            self._head.pop(first)
        del self._order[self._head_records :]
        self.horizon = self._order[-1]

    # ---- handing out ----------------------------------------------------------------------------

    def take(self, now: int, messages: int, records: int) -> list[Waits]:
        """The oldest due record and more of its topic; a suspect comes by itself. They are out."""
        taken: list[Waits] = []
        for due_us, first in self._order[: max(SAME_TOPIC_AMONG, records)]:
            waits = self._head.get(first)
            assert waits is not None, "the order of the head names a record that is not there"
            if due_us > now or len(taken) >= records or messages <= 0:
                break
            if taken and not _may_share(taken[0].record, waits.record, messages):
                continue
            taken.append(waits)
            messages -= waits.record.messages
            if waits.record.alone:
                break
        for waits in taken:
            self._head.pop(waits.first)
            self._forget_order(waits.record)
            self.out.add(waits.record)
        return taken

    def put_back(self, record: Parked, undone: int) -> None:
        """It was out and nothing came of it."""
        self.out.pop(record.first)
        self.insert(record, undone)

    def waiting(self) -> list[Parked]:
        return [waits.record for waits in self._head]

    # ---- loading --------------------------------------------------------------------------------

    @property
    def wants_records(self) -> bool:
        return (
            self.horizon is not None
            and not self.loading
            and len(self._order) * 2 < self._head_records
        )

    def load(self) -> LoadDue:
        assert self.horizon is not None, "nothing lies beyond the head"
        self.loading = True
        self._asked = self.horizon
        return LoadDue(self._group, self._gid, self.horizon, self._head_records)

    def loaded(self, records: Iterable[Parked], more: bool) -> None:
        """What was read is as old as the asking: leave out what has changed since, and add what
        came since and lies within."""
        if not self.loading:
            return
        self.loading = False
        changed, self._changed = self._changed, set()
        beyond, self._beyond = self._beyond, {}
        found = [record for record in records if record.gid == self._gid]
        if self.horizon != self._asked:
            # The head was shortened meanwhile: what was read does not follow it any more.
            return
        if not more:
            self.horizon = None
        elif found:
            self.horizon = key_of(found[-1])
        for record in found:
            if record.first not in changed and not self.out.overlap(record.first, record.last):
                self.insert(record)
        for record in beyond.values():
            self.insert(record)


def _may_share(oldest: Parked, record: Parked, messages: int) -> bool:
    return record.topic == oldest.topic and not record.alone and record.messages <= messages
