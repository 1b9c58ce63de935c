"""Look-ups of parked records on the disk: one read of a lane at a time, for all that waits for it.

Owns what is to be looked up and what is being read. Clients repeat what is not answered in time; if
each look-up were a read of its own, a state store that falls behind would be given more to do the
further behind it is. Must never judge what was found.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from laybyd.core.effects import FindParked
from laybyd.core.intervals import ByPosition, Range, RangeSet
from laybyd.core.parts import Finder, Parts
from laybyd.core.sessions import Settlement
from laybyd.core.types import DEAD, DEFERRED, POSITION_END, Parked, Verdict

AT_ONCE = 256
"""Look-ups, and about as many ranges, in one read: commits wait behind it."""
RECORDS_AT_ONCE = 1_000


class Lookup(NamedTuple):
    """One verdict's ranges on their way to the disk; to rows of the log when no lane is named."""

    verdict: Verdict
    ranges: tuple[Range, ...]
    settlement: Settlement
    believed: bool
    lane: str


class _Read(NamedTuple):
    """`changed` are records that moved since it was asked for."""

    token: int
    wanted: list[Lookup]
    changed: RangeSet


class Lookups:
    """`finder` gets what was read, and hands it in at `found`."""

    def __init__(self, parts: Parts, finder: Finder) -> None:
        self._parts = parts
        self._finder = finder
        self._waiting: dict[str, deque[Lookup]] = {DEFERRED: deque(), DEAD: deque()}
        self._reads: dict[str, _Read] = {}

    def add(self, lookup: Lookup) -> None:
        self._waiting[lookup.lane].append(lookup)
        self._read(lookup.lane)

    def _read(self, lane: str) -> None:
        waiting = self._waiting[lane]
        if lane in self._reads or not waiting:
            return
        wanted: list[Lookup] = []
        ranges = RangeSet()
        while waiting and max(len(wanted), len(ranges)) < AT_ONCE:
            wanted.append(waiting.popleft())
            for one in wanted[-1].ranges:
                ranges.add(*one)
        parts = self._parts
        parts.journal.flush()
        token = parts.finds.take((parts.record.gid, self._finder))
        read = self._reads[lane] = _Read(token, wanted, RangeSet())
        parts.parking.watchers[token] = read.changed.add
        limit = min(ranges.measure(), RECORDS_AT_ONCE)
        parts.out.append(FindParked(token, parts.record.gid, lane, tuple(ranges), limit=limit))

    def found(
        self, token: int, records: Sequence[Parked], more: bool
    ) -> Iterator[tuple[Lookup, list[Parked], RangeSet]]:
        """Each look-up with its records and what of it must be judged anew: what has changed since,
        also by a look-up before it, and what was not read for want of room."""
        lane = next(lane for lane, read in self._reads.items() if read.token == token)
        read, known = self._reads[lane], ByPosition(records)
        upto = records[-1].last if more else POSITION_END
        for lookup in read.wanted:
            touched = {one.first: one for run in lookup.ranges for one in known.overlap(*run)}
            again = RangeSet(part for run in lookup.ranges for part in read.changed.overlap(*run))
            for first, last in lookup.ranges:
                if last > upto:
                    again.add(max(first, upto + 1), last)
            yield lookup, list(touched.values()), again
        self._forget(lane)
        self._read(lane)

    def _forget(self, lane: str) -> None:
        read = self._reads.pop(lane)
        del self._parts.parking.watchers[read.token]

    def take_all(self) -> list[Lookup]:
        """Nobody waits for them any more."""
        left = [lookup for read in self._reads.values() for lookup in read.wanted]
        for lane in list(self._reads):
            self._forget(lane)
        for waiting in self._waiting.values():
            left += waiting
            waiting.clear()
        return left
