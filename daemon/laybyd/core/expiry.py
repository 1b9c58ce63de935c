"""How a lease ends other than by outcomes: its time is up, its session is gone, it never arrived.

Owns what becomes of the unsettled rest. What was settled stays settled; what was worked on is
suspect; what was not started goes to the front of its lane. Must never know why a lease ends.
"""

from __future__ import annotations

from collections.abc import Sequence

from laybyd.core.intervals import Range, RangeSet
from laybyd.core.leases import Lease
from laybyd.core.parts import Parts
from laybyd.core.rules import Trouble, cut, part_of
from laybyd.core.types import LIVE

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
        suspects = suspects_of(lease, parting)
        not_started = RangeSet(lease.open)
        for run in suspects:
            not_started.remove(*run)
        if suspects:
            alone = _stands_alone(lease, suspects, parting)
            self._trouble(lease, suspects, alone, reason, now)
        for run in not_started:
            self._give_back(lease, *run, now)
        self._finish(lease, now)

    def undo(self, lease: Lease, now: int) -> None:
        """It was never heard of: everything goes back, and nobody is blamed."""
        for run in list(lease.open):
            self._give_back(lease, *run, now)
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
        self._trouble(lease, runs, first == last, STUCK, now)
        for run in runs:
            lease.close(*run)
            self._parts.leases.closed(lease, run[1] - run[0] + 1)
        self._go_on(lease, now)

    def give_back_rest(self, lease: Lease, keep: RangeSet, now: int) -> None:
        """What did not go out with the lease."""
        for first, last in list(lease.open):
            for run in keep.gaps(first, last):
                self._give_back(lease, *run, now)
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

    def _give_back(self, lease: Lease, first: int, last: int, now: int) -> None:
        parts = self._parts
        if lease.lane == LIVE:
            for span in lease.spans_in(first, last):
                parts.live.give_back(span)
            return
        for held in lease.records.overlap(first, last):
            lease.records.pop(held.first)
            parts.parking.put_back(held, now)

    def _trouble(
        self, lease: Lease, ranges: Sequence[Range], alone: bool, reason: str, now: int
    ) -> None:
        """`alone`: it is one message, and nothing else can have been the cause."""
        trouble = Trouble(reason, lease.session.name, lease.id, now)
        if lease.lane == LIVE:
            self._trouble_in_live(lease, ranges, alone, trouble)
            return
        for run in ranges:
            self._change(lease, run, trouble, alone=alone)

    def _trouble_in_live(
        self, lease: Lease, ranges: Sequence[Range], alone: bool, trouble: Trouble
    ) -> None:
        parts = self._parts
        found = [part_of(parts.record.gid, lease.spans_in(*run)) for run in ranges]
        pieces = [piece for _, some in found for piece in some]
        if alone:
            news = parts.rules.failed(found[0][0], trouble)
        else:
            news = parts.rules.suspects([part for part, _ in found], trouble)
        parts.parking.admit(news, pieces, parts.settings, trouble.now)
        for run in ranges:
            parts.journal.settle(*run, trouble.now)

    def _change(
        self,
        lease: Lease,
        run: Range,
        trouble: Trouble,
        alone: bool = False,
        bury: bool = False,
    ) -> None:
        """Records of a deferred lease: each for itself, there are no halves of several."""
        parts = self._parts
        for held in lease.records.overlap(*run):
            part = cut(held.record, max(run[0], held.first), min(run[1], held.last))
            rules = parts.rules
            news = rules.rejected(part, trouble) if bury else rules.failed(part, trouble, alone)
            parts.parking.change_held(lease.records, held, part, news, trouble.now)


def has_reported(lease: Lease) -> bool:
    """Its session has told what it works on since the lease was given: only then does a name
    that it told mean this lease."""
    return lease.session.progress_us > lease.granted_us


def worked_on(lease: Lease) -> list[Range]:
    """What of the lease's open messages the session named last, in order of position."""
    if not has_reported(lease):
        return []
    return [run for one in lease.open for run in lease.session.named.overlap(*one)]


def suspects_of(lease: Lease, parting: bool) -> list[Range]:
    return worked_on(lease) if parting or has_reported(lease) else list(lease.open)


def _stands_alone(lease: Lease, suspects: Sequence[Range], parting: bool) -> bool:
    """Nothing else of the session can be to blame. A message in a lease of its own that is marked
    `alone` is counted whatever else there is: it was to be worked on alone, and with others always
    at work the bad message would never be found."""
    others = [one for one in lease.session.leases.values() if one is not lease]
    company = [one for one in others if suspects_of(one, parting)]
    for one in company:
        one.in_company = True
    if lease.alone and lease.ranges.first == lease.ranges.last:
        return True
    single = len(suspects) == 1 and suspects[0][0] == suspects[0][1]
    return single and not company and not lease.in_company
