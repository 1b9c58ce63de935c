"""The auditor's opinion of every settle: which parts must be taken, which refused, which may be.

Owns the settles that wait for their answer. An outcome counts in the book from the moment it was
asked for; that it is durable, from the moment it was answered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from typing import NamedTuple

from laybyd.core.effects import Lost
from laybyd.core.types import Outcome, Verdict
from tests.simulation.audit_group import GroupBook
from tests.simulation.audit_leases import Lease
from tests.simulation.audit_log import demand
from tests.simulation.audit_shares import Work
from tests.simulation.standing import Mark, Standing, union
from tests.simulation.world import MS

TAKEN, REFUSED, EITHER, LATE = "taken", "refused", "taken or refused", "taken unless overtaken"
REPEAT, DOUBT = "as before", "as before, or as news"
"""A late outcome may have to be looked up: until its answer somebody else may get the message. It
is news again when what it did is gone: lost in a crash, or overlaid by what came after."""

MEMORY = 3
"""How many of its lengths an ended lease is surely remembered; after that an ack of what is done
may be taken for the repeat of an earlier one."""

RELEASES_MAX = 5


class Asked(NamedTuple):
    """One message of one verdict: what is right, and what the book says since."""

    mark: Mark
    verdict: Verdict
    right: str
    before: Standing
    after: Standing
    taken: Standing

    @property
    def what(self) -> tuple[bytes, int]:
        return self.verdict.lease, self.mark.position


class Settles:
    """`void` are leases of groups of this name that were deleted: they are nothing to this one."""

    def __init__(self, book: GroupBook, void: frozenset[bytes] = frozenset()) -> None:
        self.book = book
        self._void = void
        self._waiting: dict[Hashable, list[Asked]] = {}

    def forget(self) -> None:
        """The broker died; nobody will be answered. What it may have taken it may have kept: told
        again it may be nothing new. (What settles for good is so either way.)"""
        for one in (one for asked in self._waiting.values() for one in asked):
            verdict, may_be_kept = one.verdict, one.right in (EITHER, LATE, DOUBT)
            if may_be_kept and verdict.outcome not in (Outcome.ACK, Outcome.REJECT):
                one.mark.settled_before.add((verdict.lease, verdict.outcome))
        self._waiting.clear()

    def asked(self, ticket: Hashable, verdicts: Iterable[Verdict], now: int) -> None:
        asked = [
            one
            for verdict in verdicts
            for first, last in verdict.ranges
            for one in self._judge(range(first, last + 1), verdict, now)
        ]
        self._waiting.setdefault(ticket, []).extend(asked)
        self.book.shares.settled(list(self._worked_on(asked)), now)

    def _worked_on(self, asked: Iterable[Asked]) -> Iterator[Work]:
        for one in asked:
            lease = self.book.table.leases.get(one.verdict.lease)
            is_work = one.verdict.outcome is not Outcome.RELEASE and one.right != REFUSED
            if lease is not None and is_work:
                yield lease, one.right == TAKEN

    def answered(self, ticket: Hashable, refused: Iterable[Lost], is_deleted: bool) -> None:
        """Once the group is deleted, what was asked for before may be refused: nothing is left."""
        lost = {
            (part.lease, position): part.code
            for part in refused
            for first, last in part.ranges
            for position in range(first, last + 1)
        }
        asked = self._waiting.pop(ticket, [])
        times = Counter(one.what for one in asked)
        for one in asked:
            code = lost.get(one.what)
            if code is None or times[one.what] == 1:
                self._check(one, code, is_deleted)
            elif one.right == TAKEN:
                # Said twice in one request, not alike: the refusal may be of either.
                one.mark.confirm(one.after)

    # ---- when asked -------------------------------------------------------------------------

    def changed(self, now: int) -> None:
        """The group's settings are others: what has no answer yet may be judged by them."""
        for asked in self._waiting.values():
            asked[:] = [self._eased(one, now) for one in asked]

    def _eased(self, one: Asked, now: int) -> Asked:
        if one.verdict.outcome is not Outcome.FAIL or one.right not in (EITHER, LATE, DOUBT):
            return one
        least, most = self.book.terms.attempts(now)
        was, due_us = one.taken, now + self.book.terms.least_backoff(now)
        taken = was._replace(
            deferred=was.deferred or was.low < most,
            dead=was.dead or was.high >= least,
            due_us=min(was.due_us, due_us),
            counted_due_us=min(was.counted_due_us, due_us),
        )
        after = one.after
        if one.mark.now is after:
            after = union((after, taken))
            one.mark.change(after)
        return one._replace(taken=taken, after=after)

    def _judge(self, positions: range, verdict: Verdict, now: int) -> list[Asked]:
        """One of several that fail together is counted only if the others were not taken."""
        marks = [self.book.marks.setdefault(position, Mark(position)) for position in positions]
        rights = [self._right(mark, verdict, now) for mark in marks]
        counted = int(len(marks) == 1), int(rights.count(TAKEN) < 2)
        return [
            self._note(mark, verdict, right, counted, now)
            for mark, right in zip(marks, rights, strict=True)
        ]

    def _note(
        self, mark: Mark, verdict: Verdict, right: str, counted: tuple[int, int], now: int
    ) -> Asked:
        taken = self._taken(mark, verdict, counted, now)
        if right == LATE and verdict.lease == mark.holder:
            # Its end and this outcome are one: what is written down of the end comes to no more.
            self.book.end_hold(mark, self.book.table.leases[verdict.lease], now)
        before = mark.now
        if right == TAKEN:
            self._apply(mark, verdict, taken)
        elif right in (EITHER, LATE, DOUBT):
            mark.change(union((before, taken)))
        return Asked(mark, verdict, right, before, mark.now, taken)

    def _right(self, mark: Mark, verdict: Verdict, now: int) -> str:
        """What the group may have skipped or dropped is nobody's, and perhaps done."""
        right = self._right_of_known(mark, verdict, now)
        skipped = right == LATE and not self.book.scope.is_certain(mark.position)
        return EITHER if skipped else right

    def _right_of_known(self, mark: Mark, verdict: Verdict, now: int) -> str:
        lease = self.book.table.leases.get(verdict.lease)
        remembered = lease is not None and now < lease.granted_us + MEMORY * lease.length_us
        if self._is_strange(mark, verdict, lease, remembered):
            return REFUSED
        if (verdict.lease, verdict.outcome) in mark.settled_by and remembered:
            return REPEAT
        said = (verdict.lease, verdict.outcome) in mark.settled_by | mark.settled_before
        if mark.holder is not None:
            moved_it = said or _moved_by_its_end(mark, verdict)
            parked_it = moved_it and verdict.outcome is not Outcome.ACK
            if parked_it and not remembered and verdict.lease != mark.holder:
                over = self.book.table.leases[mark.holder].may_end(mark.position, now)
                return DOUBT if over else REPEAT
            return self._right_of_held(mark, verdict, now)
        if said:
            return DOUBT
        if verdict.lease not in self.book.issued or _is_lie(mark, lease):
            return EITHER
        return self._right_of_free(mark, verdict, remembered)

    def _is_strange(
        self, mark: Mark, verdict: Verdict, lease: Lease | None, remembered: bool
    ) -> bool:
        """It names what was never given: no such lease, no such message, or not in that lease, for
        as long as is known what was in it."""
        if verdict.lease in self._void:
            return True
        if lease is None:
            unknown = int.from_bytes(verdict.lease[:4], "big") == self.book.boot
            return unknown or mark.position >= self.book.log.end
        return _is_lie(mark, lease) and (remembered or mark.position >= self.book.log.end)

    def _right_of_free(self, mark: Mark, verdict: Verdict, remembered: bool) -> str:
        if mark.now.settled and verdict.lease in mark.ended and verdict.outcome is not Outcome.ACK:
            return REPEAT
        if mark.now.settled:
            return REFUSED if remembered or verdict.outcome is not Outcome.ACK else EITHER
        return EITHER if mark.now.done or mark.now.dead else LATE

    def _right_of_held(self, mark: Mark, verdict: Verdict, now: int) -> str:
        assert mark.holder is not None
        holder = self.book.table.leases[mark.holder]
        ended = holder.may_end(mark.position, now)
        if verdict.lease != mark.holder:
            return EITHER if ended else REFUSED
        counted = ended and holder.may_count(mark.position, now)
        may_be_dead = counted and mark.now.high + 1 >= self.book.terms.attempts(now)[0]
        if may_be_dead:
            return EITHER
        # Who has it next may have been chosen already, in an answer that waits for a commit.
        return LATE if ended else TAKEN

    def _apply(self, mark: Mark, verdict: Verdict, taken: Standing) -> None:
        was_held = mark.holder is not None
        if mark.holder is not None:
            lease = self.book.table.leases[mark.holder]
            self.book.release(mark, lease)
        mark.change(taken)
        mark.settled_by.add((verdict.lease, verdict.outcome))
        if was_held and taken.surely_live:
            self.book.give_back(mark)

    # ---- what follows from an outcome -----------------------------------------------------------

    def _taken(self, mark: Mark, verdict: Verdict, counted: tuple[int, int], now: int) -> Standing:
        was = self._before_outcome(mark, now)
        if verdict.outcome is Outcome.ACK:
            return Standing(done=True, low=was.low, high=was.high)
        if verdict.outcome is Outcome.REJECT:
            return Standing(dead=True, low=was.low, high=was.high)
        if verdict.lease == mark.holder and was is not mark.now:
            moved = self._moved_by_end(mark, was, verdict, counted, now)
        else:
            moved = self._moved(mark, was, verdict, counted, now)
        # If its lease, by its end or another outcome, has moved it already, that may be all.
        under = {lease for lease, _ in mark.settled_by | mark.settled_before}
        moved_it = verdict.lease in under or _moved_by_its_end(mark, verdict)
        return union((was, moved)) if moved_it else moved

    def _moved(
        self, mark: Mark, was: Standing, verdict: Verdict, counted: tuple[int, int], now: int
    ) -> Standing:
        """Not settled."""
        if verdict.outcome is Outcome.FAIL:
            return self._failed(was, counted, now)
        if verdict.outcome is Outcome.DEFER:
            due_us = now + (verdict.delay_ms or 0) * MS
            return _deferred(was, due_us)
        return self._released(mark, was, verdict, now)

    def _moved_by_end(
        self, mark: Mark, was: Standing, verdict: Verdict, counted: tuple[int, int], now: int
    ) -> Standing:
        """Not settled, and its lease may have ended unnoticed: if that was counted, its wait began
        then, and the same once more changes nothing."""
        lease = self.book.table.leases[verdict.lease]
        ended_us = lease.ended_us(mark.position, now)
        if verdict.outcome is Outcome.FAIL:
            return self._failed(mark.now, (counted[0], 1), ended_us)
        moved = self._moved(mark, was, verdict, counted, now)
        attempts = range(mark.now.low, mark.now.high + 1)
        backoffs = set().union(*(self.book.terms.backoffs(number, now) for number in attempts))
        if moved.counted_due_us - now not in backoffs:
            return moved
        return moved._replace(counted_due_us=moved.counted_due_us - now + ended_us)

    def _before_outcome(self, mark: Mark, now: int) -> Standing:
        """If its lease may have ended unnoticed, it may have been counted for that already."""
        was = mark.now
        if mark.holder is not None:
            lease = self.book.table.leases[mark.holder]
            if lease.may_end(mark.position, now) and lease.may_count(mark.position, now):
                return was._replace(high=was.high + 1, deferred=True)
        return was

    def _failed(self, was: Standing, counted: tuple[int, int], now: int) -> Standing:
        """It dies of a failure that is counted, also where one more is too many only by now."""
        least, most = self.book.terms.attempts(now)
        low, high = was.low + counted[0], was.high + counted[1]
        due_us = now + min(self.book.terms.backoffs(was.low, now))
        return Standing(
            deferred=low < most or not counted[0],
            dead=high >= least and bool(counted[1]),
            low=low,
            high=high,
            due_us=due_us if counted[0] else now,
            counted_due_us=due_us,
        )

    def _released(self, mark: Mark, was: Standing, verdict: Verdict, now: int) -> Standing:
        """Back to its lane; too often started and released, it is deferred and counted. What waits
        already goes on waiting."""
        if mark.holder is None:
            return was
        mark.backs += 1
        mark.releases += verdict.started
        often = mark.releases >= RELEASES_MAX
        ended = self.book.table.leases[mark.holder].may_end(mark.position, now)
        return was._replace(
            live=was.live,
            deferred=was.deferred or often or ended,
            dead=often and was.high + 1 >= self.book.terms.attempts(now)[0],
            done=False,
            high=was.high + often,
            due_us=was.due_us if was.deferred else 0,
            counted_due_us=now + min(self.book.terms.backoffs(was.low, now)),
        )

    # ---- when answered ----------------------------------------------------------------------

    def _check(self, asked: Asked, code: str | None, is_deleted: bool) -> None:
        mark, verdict = asked.mark, asked.verdict
        what = f"{self.book.name}: {verdict.outcome} of {mark.position} by {verdict.lease.hex()}"
        if code is None:
            demand(asked.right != REFUSED, f"{what} was taken, though {asked.before}")
        else:
            # Also by the end of its topic, while it was looked up.
            is_certain = self.book.scope.is_certain(mark.position)
            overtaken = mark.now is not asked.after or not is_certain
            wrong = asked.right == TAKEN or (asked.right == LATE and not overtaken)
            demand(is_deleted or not wrong, f"{what} was refused {code}, though {asked.before}")
        if asked.right in (EITHER, LATE, DOUBT):
            self._settle_doubt(asked, code)
        elif asked.right == TAKEN:
            mark.confirm(asked.after)

    def _settle_doubt(self, asked: Asked, code: str | None) -> None:
        mark = asked.mark
        if code is None:
            mark.settled_by.add((asked.verdict.lease, asked.verdict.outcome))
        if mark.now is not asked.after:
            return
        if code is not None:
            mark.now = asked.before
        elif asked.right == DOUBT:
            mark.confirm(asked.after)
        else:
            self._apply(mark, asked.verdict, asked.taken)
            mark.confirm(asked.taken)


def _is_lie(mark: Mark, lease: Lease | None) -> bool:
    return lease is not None and mark.position not in lease.positions


def _moved_by_its_end(mark: Mark, verdict: Verdict) -> bool:
    """A failure that was counted when its lease ended is not counted again when it is told, also
    in a generation that came after."""
    counted = verdict.outcome is Outcome.FAIL and verdict.lease in mark.blamed
    return counted or verdict.lease in mark.ended


def _deferred(was: Standing, due_us: int) -> Standing:
    return Standing(deferred=True, low=was.low, high=was.high, due_us=due_us, counted_due_us=due_us)
