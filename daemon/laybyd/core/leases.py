"""Who holds what until when, and which leases there have been.

Owns leases, their ids and the memory of ended ones. Must never know what is to become of the
messages of a lease that ends.

An id is the boot (u32) and a number (u64: the group's number, then a counter), so that it can be
judged without a memory: another boot's is believed, one that was never issued here is not.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable
from enum import Enum
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from laybyd.core.intervals import ByPosition, Range, RangeSet
from laybyd.core.live import Span
from laybyd.core.types import DEFERRED, LIVE, Outcome, Parked, Piece

if TYPE_CHECKING:
    from laybyd.core.sessions import Waiting

_ID = Struct(">IQ")
_GID_SHIFT = 36
ENDED_MAX = 16_384
ENDED_RANGES_MAX = 65_536
"""So many leases that are over are remembered, and of all of them together so many ranges."""
ENDED_LEASES_KEPT = 3
"""An ended lease is remembered for so many of its lengths."""


class Held(NamedTuple):
    """A parked record as it is out. `undone` counts earlier hand-outs that left no history."""

    record: Parked
    undone: int = 0

    @property
    def first(self) -> int:
        return self.record.first

    @property
    def last(self) -> int:
        return self.record.last


class Memory:
    """What a lease has held, and which outcomes were taken under it, in time or late."""

    __slots__ = ("ranges", "taken", "until_us")

    def __init__(self, ranges: RangeSet) -> None:
        self.ranges = ranges
        self.taken: dict[Outcome, RangeSet] = {}
        self.until_us = 0

    @property
    def size(self) -> int:
        return len(self.ranges) + sum(len(taken) for taken in self.taken.values())

    def take(self, outcome: Outcome, first: int, last: int) -> None:
        self.taken.setdefault(outcome, RangeSet()).add(first, last)

    def not_taken(self, outcome: Outcome, ranges: Iterable[Range]) -> list[Range]:
        """Of what it held: where this outcome is news."""
        held = [run for one in ranges for run in self.ranges.overlap(*one)]
        taken = self.taken.get(outcome)
        return held if taken is None else [gap for run in held for gap in taken.gaps(*run)]


class Lease:
    """`open` is what is not settled; `answer` the poll that it was given to; `in_company`: another
    lease of the session has ended, which may have been the cause of whatever becomes of this
    one; `given_us`: since then its handler has nothing else; `granted_us`: since its answer went
    out; `held_back`: that waits for a commit or for the disk, and its time has not begun."""

    __slots__ = (
        "alone",
        "answer",
        "ends_us",
        "given_us",
        "granted_us",
        "guard",
        "held_back",
        "id",
        "in_company",
        "lane",
        "lease_us",
        "left",
        "memory",
        "open",
        "ranges",
        "records",
        "session",
        "spans",
    )

    def __init__(
        self,
        lease_id: bytes,
        waiting: Waiting,
        now: int,
        spans: list[Span] | None = None,
        records: list[Held] | None = None,
    ) -> None:
        session = waiting.session
        self.id = lease_id
        self.session = session
        self.answer = waiting
        self.lane = LIVE if records is None else DEFERRED
        self.spans = spans or []
        self.records: ByPosition[Held] = ByPosition(records or ())
        self.ranges = RangeSet((one.first, one.last) for one in (records or self.spans))
        self.memory = Memory(self.ranges)
        self.open = RangeSet(self.ranges)
        self.left = self.open.measure()
        self.given_us = self.granted_us = now
        self.lease_us = session.lease_us
        self.ends_us = now + session.lease_us
        self.alone = False
        self.in_company = False
        self.guard = False
        self.held_back = False

    def begin(self, now: int) -> None:
        """Its answer goes out: its time begins."""
        self.held_back = False
        self.granted_us = now
        self.ends_us = now + self.lease_us

    def spans_in(self, first: int, last: int) -> list[Span]:
        at = max(0, bisect_right(self.spans, first, key=_first) - 1)
        found = []
        while at < len(self.spans) and self.spans[at].first <= last:
            if self.spans[at].last >= first:
                found.append(self.spans[at].cut(first, last))
            at += 1
        return found

    def pieces(self) -> tuple[Piece, ...]:
        """Where the bytes of its open messages are, in the order they were given."""
        if self.lane == LIVE:
            return tuple(
                Piece(first, last, span.row.first)
                for span in self.spans
                for first, last in self.open.overlap(span.first, span.last)
            )
        return tuple(
            Piece(record.first, record.last, record.block, LIVE if record.in_log else DEFERRED)
            for record, _ in self.records
        )

    def close(self, first: int, last: int) -> None:
        """These open messages are no longer this lease's business."""
        self.open.remove(first, last)
        self.left -= last - first + 1


def _first(span: Span) -> int:
    return span.first


class Past(Enum):
    """What is known of a lease that is neither live nor remembered."""

    FORGOTTEN = 1
    UNKNOWN = 2


class Leases:
    def __init__(self, boot: int, gid: int) -> None:
        self._boot = boot
        self._base = gid << _GID_SHIFT
        self._issued = 0
        self._ended: OrderedDict[bytes, Memory] = OrderedDict()
        self._ended_ranges = 0
        self.live: dict[bytes, Lease] = {}
        self.out = 0
        self.deferred = 0
        self.guards = 0
        self.guard_us = 0

    def next_id(self) -> bytes:
        self._issued += 1
        return _ID.pack(self._boot, self._base + self._issued)

    def add(self, lease: Lease) -> None:
        self.live[lease.id] = lease
        lease.session.leases[lease.id] = lease
        self.out += lease.left
        if lease.lane == LIVE:
            lease.session.live_out += lease.left
        else:
            self.deferred += 1
            lease.session.deferred_leases += 1
            self.guards += lease.guard

    def closed(self, lease: Lease, messages: int) -> None:
        """So many of its messages are no longer out."""
        self.out -= messages
        if lease.lane == LIVE:
            lease.session.live_out -= messages

    def end(self, lease: Lease, now: int) -> None:
        """It is over; what is still open was not settled by it."""
        del self.live[lease.id]
        del lease.session.leases[lease.id]
        self.closed(lease, lease.left)
        if lease.lane != LIVE:
            self.deferred -= 1
            lease.session.deferred_leases -= 1
            if lease.guard:
                self.guards -= 1
                self.guard_us += now - lease.given_us
        lease.memory.until_us = now + ENDED_LEASES_KEPT * lease.lease_us
        self._ended[lease.id] = lease.memory
        self._ended_ranges += lease.memory.size
        self._forget(now)

    def _forget(self, now: int) -> None:
        """What is too much; and of what is out of date two for each that is added, so that the
        memory shrinks again."""
        while len(self._ended) > ENDED_MAX or self._ended_ranges > ENDED_RANGES_MAX:
            self._forget_oldest()
        for _ in range(2):
            oldest = next(iter(self._ended.values()), None)
            if oldest is None or oldest.until_us > now:
                return
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        _, memory = self._ended.popitem(last=False)
        self._ended_ranges -= memory.size

    def remember(self, lease_id: bytes, outcome: Outcome, ranges: Iterable[Range]) -> None:
        """An outcome was taken after the lease had ended, or lost these messages."""
        memory = self.memory(lease_id)
        if memory is None:
            return
        before = memory.size
        for first, last in ranges:
            memory.take(outcome, first, last)
        if lease_id not in self.live:
            self._ended_ranges += memory.size - before

    def memory(self, lease_id: bytes) -> Memory | None:
        lease = self.live.get(lease_id)
        return self._ended.get(lease_id) if lease is None else lease.memory

    def past(self, lease_id: bytes) -> Memory | Past:
        ended = self._ended.get(lease_id)
        if ended is not None:
            return ended
        if len(lease_id) != _ID.size:
            return Past.UNKNOWN
        boot, number = _ID.unpack(lease_id)
        if number >> _GID_SHIFT != self._base >> _GID_SHIFT or boot > self._boot:
            return Past.UNKNOWN
        if boot == self._boot and not 0 < number - self._base <= self._issued:
            return Past.UNKNOWN
        return Past.FORGOTTEN
