"""Late answers: outcomes under a lease that has ended, also one of an earlier boot.

Owns the judgement of each message such an outcome names: held by somebody, waiting, settled. Those
that nobody holds and nobody settled are dealt with as if the lease still lasted. What is not in
memory is looked up first. Must never know live leases' insides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from laybyd.core.effects import LoadRows, Lost
from laybyd.core.intervals import Range, RangeSet
from laybyd.core.live import Span
from laybyd.core.lookups import Lookup, Lookups
from laybyd.core.parts import Parts
from laybyd.core.rules import RELEASED, News, Trouble, cut, part_of
from laybyd.core.sessions import Settlement
from laybyd.core.types import DEAD, DEFERRED, Outcome, Parked, Row, Verdict
from laybyd.core.verdicts import named, names_alone

ROWS_AT_ONCE = 64


class Late:
    """`believed`: nothing is remembered of the lease, so an ack of what is settled may well be the
    repeat of the ack that settled it."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._of_rows: dict[int, Lookup] = {}
        self._of_parked = Lookups(parts, self)

    def judge(
        self,
        verdict: Verdict,
        ranges: Iterable[Range],
        settlement: Settlement,
        now: int,
        believed: bool,
    ) -> None:
        lost = RangeSet()
        done: list[Range] = []
        unseen: list[Range] = []
        end = self._parts.live.log_end
        parts = ranges
        if ranges is not verdict.ranges:
            parts = [part for one in ranges for part in named(verdict, *one)]
        for first, last in parts:
            if last >= end:
                lost.add(max(first, end), last)
                last = end - 1
            if first <= last:
                done += self._parts.floor.done_in(first, last)
                self._open(verdict, (first, last), lost, unseen, now)
        unknown = self._parked(verdict, done, lost, now, believed)
        self._refuse(verdict, lost, settlement)
        self._remember(verdict, ranges, (*lost, *unknown, *unseen))
        if unseen:
            self._look_for_rows(verdict, unseen, settlement, believed)
        if unknown:
            self._look_up(verdict, unknown, settlement, believed, DEFERRED)

    def _refuse(self, verdict: Verdict, lost: RangeSet, settlement: Settlement) -> None:
        if lost:
            settlement.refused.append(Lost(verdict.lease, tuple(lost), "lease_lost"))

    def _remember(self, verdict: Verdict, ranges: Iterable[Range], but: Iterable[Range]) -> None:
        """The outcome was taken: whoever sends it again is answered alike."""
        taken = RangeSet(ranges)
        for run in but:
            taken.remove(*run)
        self._parts.leases.remember(verdict.lease, verdict.outcome, taken)

    # ---- messages in the live lane --------------------------------------------------------------

    def _open(
        self, verdict: Verdict, one: Range, lost: RangeSet, unseen: list[Range], now: int
    ) -> None:
        """Of what is not done: take what waits, refuse what is held."""
        for first, last in self._parts.floor.open_in(*one):
            spans, new = self._parts.live.waiting_in(first, last)
            waiting = RangeSet([(span.first, span.last) for span in spans] + new)
            for gap in waiting.gaps(first, last):
                lost.add(*gap)
            if verdict.outcome is Outcome.RELEASE:
                continue
            if verdict.outcome is Outcome.ACK:
                for run in waiting:
                    self._withdraw(run, now)
                continue
            for span in spans:
                self._move(span, verdict, now)
                self._withdraw((span.first, span.last), now)
            for run in new:
                unseen += self._move_new(run, verdict, now)

    def _withdraw(self, run: Range, now: int) -> None:
        self._parts.live.withdraw(*run)
        self._parts.journal.settle(*run, now)

    def _move(self, span: Span, verdict: Verdict, now: int) -> None:
        """To another lane; whoever calls this withdraws it from the live one."""
        parts = self._parts
        part, pieces = part_of(parts.record.gid, (span,))
        parts.parking.admit(self._news(verdict, part, now), pieces, parts.settings, now)

    def _move_new(self, run: Range, verdict: Verdict, now: int) -> list[Range]:
        """What was never out in this boot: its row must be known. Gives what is not yet loaded."""
        first, last = run
        at = first
        while at <= last and (row := self._parts.live.row_at(at)) is not None:
            self._move(Span(at, min(last, row.last), row), verdict, now)
            at = min(last, row.last) + 1
        if at > first:
            self._withdraw((first, at - 1), now)
        return [(at, last)] if at <= last else []

    def _look_for_rows(
        self, verdict: Verdict, ranges: list[Range], settlement: Settlement, believed: bool
    ) -> None:
        token = self._parts.finds.take((self._parts.record.gid, self))
        self._of_rows[token] = Lookup(verdict, tuple(ranges), settlement, believed, "")
        settlement.lookups += 1
        self._parts.out.append(LoadRows(("find", token), ranges[0][0], ROWS_AT_ONCE))

    def rows_found(self, token: int, rows: Sequence[Row], upto: int, now: int) -> None:
        """Go on with the rows just read; ask again while there are more."""
        lookup = self._of_rows.pop(token)
        seen = RangeSet((row.first, row.last) for row in rows)
        rest: list[Range] = []
        again: list[Range] = []
        for one in lookup.ranges:
            for first, last in seen.overlap(*one):
                cursor = self._parts.live.cursor
                if first < cursor:
                    again.append((first, min(last, cursor - 1)))
                self._move_found(rows, (max(first, cursor), last), lookup.verdict, now)
            rest += [(max(low, upto), high) for low, high in seen.gaps(*one) if high >= upto]
        self._remember(lookup.verdict, lookup.ranges, (*again, *rest))
        if again:
            self.judge(lookup.verdict, again, lookup.settlement, now, lookup.believed)
        if rest and upto > lookup.ranges[0][0]:
            self._look_for_rows(lookup.verdict, rest, lookup.settlement, lookup.believed)
        self._finish(lookup)

    def _move_found(self, rows: Sequence[Row], run: Range, verdict: Verdict, now: int) -> None:
        """What was never out in this boot, and is not settled."""
        for row in filter(self._parts.live.wants, rows):
            low, high = max(run[0], row.first), min(run[1], row.last)
            for first, last in self._parts.floor.open_in(low, high) if low <= high else ():
                self._move(Span(first, last, row), verdict, now)
                self._withdraw((first, last), now)

    # ---- messages that are done: settled, deferred or dead --------------------------------------

    def _parked(
        self, verdict: Verdict, done: Sequence[Range], lost: RangeSet, now: int, believed: bool
    ) -> list[Range]:
        """Deal with the deferred ones that are in memory; gives what must be looked up. One that
        is out is lost, unless this is the repeat of what parked it."""
        deferred = self._parts.deferred
        rest = RangeSet(done)
        for one in done:
            for record in deferred.out.overlap(*one):
                for part in rest.overlap(record.first, record.last):
                    if not (believed and _is_repeat(verdict, record, part, now)):
                        lost.add(*part)
                rest.remove(record.first, record.last)
            for record in deferred.overlap(*one):
                runs = rest.overlap(record.first, record.last)
                rest.remove(record.first, record.last)
                self._change(verdict, record, runs, now)
        return list(rest)

    def _look_up(
        self,
        verdict: Verdict,
        ranges: Sequence[Range],
        settlement: Settlement,
        believed: bool,
        lane: str,
    ) -> None:
        """The deferred lane beyond what is in memory, then the dead one; what is in neither is
        settled."""
        parts = self._parts
        if lane == DEFERRED and parts.deferred.complete:
            lane = DEAD
        if lane == DEAD and not parts.account.dead:
            self._settled(verdict, ranges, settlement, believed)
            return
        settlement.lookups += 1
        self._of_parked.add(Lookup(verdict, tuple(ranges), settlement, believed, lane))

    def parked_found(self, token: int, records: Sequence[Parked], more: bool, now: int) -> None:
        for lookup, touched, again in self._of_parked.found(token, records, more):
            self._judge_found(lookup, touched, again, now)

    def _judge_found(
        self, lookup: Lookup, records: Sequence[Parked], again: RangeSet, now: int
    ) -> None:
        rest = RangeSet(lookup.ranges)
        for one in again:
            rest.remove(*one)
        lost = RangeSet()
        for record in records:
            runs = rest.overlap(record.first, record.last)
            rest.remove(record.first, record.last)
            if not self._found(lookup, record, runs, now):
                for run in runs:
                    lost.add(*run)
        self._refuse(lookup.verdict, lost, lookup.settlement)
        self._remember(lookup.verdict, lookup.ranges, (*lost, *rest, *again))
        self._go_on(lookup, list(rest), list(again), now)
        self._finish(lookup)

    def _found(self, lookup: Lookup, record: Parked, runs: Sequence[Range], now: int) -> bool:
        """A dead message is settled, unless this is the repeat of what made it dead; a deferred
        one may have been handed out since it was asked for. Gives whether the outcome counts."""
        if lookup.lane == DEAD:
            return _made_dead(lookup.verdict, record)
        if self._parts.deferred.out.overlap(record.first, record.last):
            return False
        self._change(lookup.verdict, record, runs, now)
        return True

    def _go_on(self, lookup: Lookup, rest: list[Range], again: list[Range], now: int) -> None:
        args = (lookup.settlement, lookup.believed)
        if again:
            self.judge(lookup.verdict, again, lookup.settlement, now, lookup.believed)
        if rest and lookup.lane == DEFERRED:
            self._look_up(lookup.verdict, rest, *args, DEAD)
        elif rest:
            self._settled(lookup.verdict, rest, *args)

    def _finish(self, lookup: Lookup) -> None:
        lookup.settlement.batch = self._parts.journal.barrier()
        lookup.settlement.looked_up()

    def abandon(self) -> None:
        """The group is deleted: nothing of it is left to settle."""
        lookups = [*self._of_rows.values(), *self._of_parked.take_all()]
        self._of_rows.clear()
        for lookup in lookups:
            self._refuse(lookup.verdict, RangeSet(lookup.ranges), lookup.settlement)
            lookup.settlement.looked_up()

    def _settled(
        self, verdict: Verdict, ranges: Sequence[Range], settlement: Settlement, believed: bool
    ) -> None:
        """Refused, but for what this was taken for while it waited: a repeat is answered alike."""
        if believed and verdict.outcome is Outcome.ACK:
            return
        memory = self._parts.leases.memory(verdict.lease)
        news = ranges if memory is None else memory.not_taken(verdict.outcome, ranges)
        self._refuse(verdict, RangeSet(news), settlement)

    def _change(self, verdict: Verdict, record: Parked, runs: Sequence[Range], now: int) -> None:
        """Parts of a record that waits; what its own lease has brought about already is not
        counted twice."""
        if verdict.outcome is Outcome.RELEASE:
            return
        changed = [part for run in runs for part in named(verdict, *run)]
        changed = [part for part in changed if not _is_repeat(verdict, record, part, now)]
        if not changed:
            return
        news = [one for part in changed for one in self._news(verdict, cut(record, *part), now)]
        gaps = RangeSet(changed).gaps(record.first, record.last)
        news += [(DEFERRED, cut(record, *gap)) for gap in gaps]
        self._parts.parking.replace(DEFERRED, record, news, (), now)

    def _news(self, verdict: Verdict, part: Parked, now: int) -> News:
        rules = self._parts.rules
        trouble = Trouble(verdict.reason, "", verdict.lease, now)
        if verdict.outcome is Outcome.FAIL:
            return rules.failed(part, trouble, names_alone(verdict, part.first))
        if verdict.outcome is Outcome.DEFER:
            return rules.deferred(part, (verdict.delay_ms or 0) * 1_000, trouble)
        if verdict.outcome is Outcome.REJECT:
            return rules.rejected(part, trouble)
        assert verdict.outcome is Outcome.ACK, "a release changes nothing that waits"
        return []


def _is_repeat(verdict: Verdict, record: Parked, part: Range, now: int) -> bool:
    """The lease has ended, or this outcome came, and the record was parked for it. A single
    message that fails late out of a range of suspects is news, and so is a longer delay."""
    if verdict.outcome in (Outcome.ACK, Outcome.REJECT):
        return False
    if verdict.outcome is Outcome.FAIL and _was_counted(verdict, record):
        return True
    if record.lease != verdict.lease:
        return False
    if verdict.outcome is Outcome.DEFER:
        delay_us = (verdict.delay_ms or 0) * 1_000
        return record.delay_us == delay_us or record.due_us >= now + delay_us
    counted = bool(record.history) and record.history[-1].counted
    return counted or not names_alone(verdict, part[0])


def _was_counted(verdict: Verdict, record: Parked) -> bool:
    return any(line.counted and line.lease == verdict.lease for line in record.history)


def _made_dead(verdict: Verdict, record: Parked) -> bool:
    """This outcome under this lease has killed the record: rejecting is not counted, else it was
    one failure too many, or one release."""
    if record.lease != verdict.lease or verdict.outcome in (Outcome.ACK, Outcome.DEFER):
        return False
    last = record.history[-1]
    if verdict.outcome is Outcome.RELEASE:
        return last.counted and last.reason == RELEASED
    return last.counted is (verdict.outcome is not Outcome.REJECT)
