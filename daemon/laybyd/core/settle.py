"""Outcomes: what a settle does to the messages of a lease.

Owns the way from a verdict to changes, for leases that are live. Must never know late answers (it
passes them on) nor how a lease ends by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from laybyd.core.effects import Lost
from laybyd.core.intervals import Range
from laybyd.core.late import Late
from laybyd.core.leases import Lease, Memory, Past
from laybyd.core.parts import Parts
from laybyd.core.rules import RELEASED, STARTED_RELEASES_MAX, News, Trouble, cut, part_of
from laybyd.core.sessions import Session, Settlement, blend
from laybyd.core.types import LIVE, Outcome, Parked, Verdict
from laybyd.core.verdicts import names_alone


class _Work:
    """How many messages of each lane one request has settled for a session, given since when."""

    __slots__ = ("deferred", "live", "since")

    def __init__(self, now: int) -> None:
        self.live = self.deferred = 0
        self.since = now

    def add(self, lease: Lease, messages: int) -> None:
        if lease.lane == LIVE:
            self.live += messages
        else:
            self.deferred += messages
        self.since = min(self.since, lease.granted_us)


class Settler:
    def __init__(self, parts: Parts, late: Late) -> None:
        self._parts = parts
        self._late = late
        self.deferred_us: float | None = None

    def take(self, verdicts: Sequence[Verdict], settlement: Settlement, now: int) -> None:
        """All outcomes of one request. What was refused is in the settlement afterwards."""
        work: dict[Session, _Work] = {}
        for verdict in verdicts:
            lease = self._parts.leases.live.get(verdict.lease)
            if lease is None:
                self._of_past(verdict, settlement, now)
                continue
            before = lease.left
            self._of_lease(lease, verdict, settlement, now)
            done = work.setdefault(lease.session, _Work(now))
            if verdict.outcome is not Outcome.RELEASE and lease.left < before:
                done.add(lease, before - lease.left)
        for session, done in work.items():
            self._measure(session, done, now)
            self._parts.load.note(session, now)
        settlement.batch = self._parts.journal.barrier()

    def _measure(self, session: Session, done: _Work, now: int) -> None:
        """Its handlers' time since the last time is shared by all that came of it."""
        if not done.live + done.deferred:
            return
        measured = session.measure(done.live + done.deferred, done.since, now)
        if done.live:
            session.live_us = blend(session.live_us, measured)
        if done.deferred:
            self.deferred_us = blend(self.deferred_us, measured)

    # ---- which messages -------------------------------------------------------------------------

    def _of_past(self, verdict: Verdict, settlement: Settlement, now: int) -> None:
        past = self._parts.leases.past(verdict.lease)
        if past is Past.UNKNOWN:
            settlement.refused.append(Lost(verdict.lease, verdict.ranges, "lease_unknown"))
        elif past is Past.FORGOTTEN:
            self._late.judge(verdict, verdict.ranges, settlement, now, believed=True)
        else:
            self._not_open(verdict, verdict.ranges, past, settlement, now)

    def _of_lease(self, lease: Lease, verdict: Verdict, settlement: Settlement, now: int) -> None:
        rest: list[Range] = []
        for first, last in verdict.ranges:
            if lease.open.covers(first, last):
                self._apply(lease, verdict, first, last, now)
                continue
            rest += lease.open.gaps(first, last)
            for run in lease.open.overlap(first, last):
                self._apply(lease, verdict, *run, now)
        if rest:
            self._not_open(verdict, rest, lease.memory, settlement, now)
        if not lease.left:
            self._parts.leases.end(lease, now)
            self._parts.timers.cancel(("lease", lease))

    def _not_open(
        self,
        verdict: Verdict,
        ranges: Sequence[Range],
        memory: Memory,
        settlement: Settlement,
        now: int,
    ) -> None:
        """Of what the lease does not hold (any more): what was never in it is refused, what was
        taken before is taken again, and for all else this outcome is late."""
        strange = [gap for one in ranges for gap in memory.ranges.gaps(*one)]
        if strange:
            settlement.refused.append(Lost(verdict.lease, tuple(strange), "lease_lost"))
        late = memory.not_taken(verdict.outcome, ranges)
        if late:
            self._late.judge(verdict, late, settlement, now, believed=False)

    # ---- what becomes of them -------------------------------------------------------------------

    def _apply(self, lease: Lease, verdict: Verdict, first: int, last: int, now: int) -> None:
        if lease.lane == LIVE:
            self._apply_live(lease, verdict, first, last, now)
        else:
            self._apply_deferred(lease, verdict, first, last, now)
        lease.close(first, last)
        lease.memory.take(verdict.outcome, first, last)
        self._parts.leases.closed(lease, last - first + 1)

    def _apply_live(self, lease: Lease, verdict: Verdict, first: int, last: int, now: int) -> None:
        parts = self._parts
        if verdict.outcome is Outcome.ACK:
            parts.journal.settle(first, last, now)
            return
        if verdict.outcome is Outcome.RELEASE:
            self._release_live(lease, verdict, first, last, now)
            return
        part, pieces = part_of(parts.record.gid, lease.spans_in(first, last))
        news = self.news_of(verdict, part, lease.session.name, now)
        parts.parking.admit(news, pieces, parts.settings, now)
        parts.journal.settle(first, last, now)

    def _release_live(
        self, lease: Lease, verdict: Verdict, first: int, last: int, now: int
    ) -> None:
        parts = self._parts
        for span in lease.spans_in(first, last):
            starts = span.starts + verdict.started
            if starts >= STARTED_RELEASES_MAX:
                part, pieces = part_of(parts.record.gid, [span])
                trouble = Trouble(RELEASED, lease.session.name, lease.id, now)
                parts.parking.admit(parts.rules.failed(part, trouble), pieces, parts.settings, now)
                parts.journal.settle(span.first, span.last, now)
            else:
                parts.live.give_back(
                    span._replace(
                        releases=span.releases + 1, starts=starts, session=lease.session.key
                    )
                )

    def _apply_deferred(
        self, lease: Lease, verdict: Verdict, first: int, last: int, now: int
    ) -> None:
        for held in lease.records.overlap(first, last):
            part = cut(held.record, max(first, held.first), min(last, held.last))
            if verdict.outcome is Outcome.RELEASE:
                if not verdict.started and part is held.record:
                    lease.records.pop(held.first)
                    self._parts.parking.put_back(held, now)
                    continue
                held = held._replace(undone=held.undone + 1)
            news = self.news_of(verdict, part, lease.session.name, now)
            self._parts.parking.change_held(lease.records, held, part, news, now)

    def news_of(self, verdict: Verdict, part: Parked, consumer: str, now: int) -> News:
        rules = self._parts.rules
        trouble = Trouble(verdict.reason, consumer, verdict.lease, now)
        match verdict.outcome:
            case Outcome.ACK:
                return []
            case Outcome.FAIL:
                return rules.failed(part, trouble, names_alone(verdict, part.first))
            case Outcome.DEFER:
                return rules.deferred(part, (verdict.delay_ms or 0) * 1_000, trouble)
            case Outcome.REJECT:
                return rules.rejected(part, trouble)
            case Outcome.RELEASE:
                trouble.reason = RELEASED
                return rules.released(part, verdict.started, trouble)
