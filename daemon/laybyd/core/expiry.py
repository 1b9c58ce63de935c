"""How a lease ends other than by outcomes: its time is up, its session is gone, it never arrived.

Owns what becomes of the unsettled rest. What was settled stays settled; what was worked on is
suspect; what was not started goes to the front of its lane. Must never know why a lease ends.
"""

from __future__ import annotations

from collections.abc import Sequence

from laybyd.core.intervals import Range, RangeSet
from laybyd.core.leases import Lease
from laybyd.core.parts import Parts
from laybyd.core.rules import News, Trouble, cut, part_of
from laybyd.core.types import LIVE, Parked

EXPIRED = "lease expired"
STUCK = "handling took too long"
GONE = "session ended"


class Expiry:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    # ---- whole leases ---------------------------------------------------------------------------

    def end(self, lease: Lease, reason: str, now: int, parting: bool = False) -> None:
        """`parting`: the session says goodbye, so what it does not name was not started; else
        without progress since the grant the whole rest is suspect."""
        knows = parting or has_reported(lease)
        named = worked_on(lease) if knows else list(lease.open)
        not_started = RangeSet(lease.open)
        for run in named:
            not_started.remove(*run)
        if named:
            self._trouble(lease, named, reason, now)
        for run in not_started:
            self._give_back(lease, *run)
        self._finish(lease, now)

    def undo(self, lease: Lease, now: int) -> None:
        """It was never heard of: everything goes back, and nobody is blamed."""
        for run in list(lease.open):
            self._give_back(lease, *run)
        self._finish(lease, now)

    def _finish(self, lease: Lease, now: int) -> None:
        self._parts.leases.end(lease, now)
        self._parts.timers.cancel(("lease", lease))
        self._parts.load.note(lease.session, now)

    # ---- parts of leases that go on -------------------------------------------------------------

    def take_stuck(self, lease: Lease, first: int, last: int, now: int) -> None:
        """It was worked on for too long: out of the lease with it, alone."""
        runs = lease.open.overlap(first, last)
        if not runs:
            return
        self._trouble(lease, runs, STUCK, now)
        for run in runs:
            lease.take_away(*run)
            self._parts.leases.closed(lease, run[1] - run[0] + 1)
        self._go_on(lease, now)

    def give_back_rest(self, lease: Lease, keep: RangeSet, now: int) -> None:
        """What did not go out with the lease."""
        for first, last in list(lease.open):
            for run in keep.gaps(first, last):
                self._give_back(lease, *run)
                lease.ranges.remove(*run)
                lease.close(*run)
                self._parts.leases.closed(lease, run[1] - run[0] + 1)
        self._go_on(lease, now)

    def _go_on(self, lease: Lease, now: int) -> None:
        """It holds less, or nothing any more."""
        if lease.left:
            self._parts.load.note(lease.session, now)
        else:
            self._finish(lease, now)

    def bury_damaged(self, lease: Lease, first: int, last: int, now: int) -> int:
        """The bytes are gone: dead, for whatever of them this lease held. Gives how many."""
        trouble = Trouble("damaged", "", lease.id, now)
        runs = lease.open.overlap(first, last)
        for run in runs:
            if lease.lane == LIVE:
                self._bury_live(lease, run, trouble)
            else:
                self._change(lease, run, trouble, bury=True)
            lease.close(*run)
            self._parts.leases.closed(lease, run[1] - run[0] + 1)
        return sum(high - low + 1 for low, high in runs)

    def _bury_live(self, lease: Lease, run: Range, trouble: Trouble) -> None:
        parts = self._parts
        part, _ = part_of(parts.record.gid, lease.spans_in(*run))
        news = parts.rules.rejected(part, trouble)
        parts.parking.admit(news, (), parts.settings, trouble.now)
        parts.journal.settle(*run, trouble.now)

    # ---- messages -------------------------------------------------------------------------------

    def _give_back(self, lease: Lease, first: int, last: int) -> None:
        parts = self._parts
        if lease.lane == LIVE:
            for span in lease.spans_in(first, last):
                if parts.live.wants(span.row):
                    parts.live.give_back(span)
                else:
                    parts.live.skip(span.first, span.last)
            return
        for held in lease.records.overlap(first, last):
            lease.records.pop(held.first)
            parts.deferred.put_back(held.record, held.undone + 1)

    def _trouble(self, lease: Lease, ranges: Sequence[Range], reason: str, now: int) -> None:
        trouble = Trouble(reason, lease.session.name, lease.id, now)
        if lease.lane == LIVE:
            self._suspects_of_live(lease, ranges, trouble)
            return
        one_alone = sum(last - first + 1 for first, last in ranges) == 1
        for run in ranges:
            self._change(lease, run, trouble, one_alone=one_alone)

    def _suspects_of_live(self, lease: Lease, ranges: Sequence[Range], trouble: Trouble) -> None:
        parts = self._parts
        found = [part_of(parts.record.gid, lease.spans_in(*run)) for run in ranges]
        pieces = [piece for _, some in found for piece in some]
        news = parts.rules.suspects([part for part, _ in found], trouble)
        parts.parking.admit(news, pieces, parts.settings, trouble.now)
        for run in ranges:
            parts.journal.settle(*run, trouble.now)

    def _change(
        self,
        lease: Lease,
        run: Range,
        trouble: Trouble,
        one_alone: bool = False,
        bury: bool = False,
    ) -> None:
        """Records of a deferred lease: each for itself, there are no halves of several."""
        parts = self._parts
        for held in lease.records.overlap(*run):
            part = cut(held.record, max(run[0], held.first), min(run[1], held.last))
            news = self._news(part, trouble, one_alone, bury)
            parts.parking.change_held(lease.records, held, part, news, trouble.now)

    def _news(self, part: Parked, trouble: Trouble, one_alone: bool, bury: bool) -> News:
        rules = self._parts.rules
        if bury:
            return rules.rejected(part, trouble)
        return rules.failed(part, trouble) if one_alone else rules.set_apart(part, trouble)


def has_reported(lease: Lease) -> bool:
    """Its session has told what it works on since the lease was given: only then does a name
    that it told mean this lease."""
    return lease.session.progress_us > lease.granted_us


def worked_on(lease: Lease) -> list[Range]:
    """What of the lease's open messages the session named last, in order of position."""
    if not has_reported(lease):
        return []
    return [run for one in lease.open for run in lease.session.named.overlap(*one)]
