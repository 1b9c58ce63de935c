"""The auditor's book of one group: every hand-out, every outcome, and what may follow from it.

Owns the delivery promises: one holder at a time, nothing after its ack, first grants in order,
attempts counted rightly, deferred never early and never before live, every limit held.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from laybyd.core.effects import Deliver, Grant, Park
from laybyd.core.events import Poll, Undelivered
from laybyd.core.settings import CoreSettings
from laybyd.core.types import DEAD, DEFERRED, LIVE, GroupRecord, Progress
from laybyd.store import records
from laybyd.store.memory import MemoryStore
from tests.simulation.audit_answer import (
    brief,
    check_answer,
    check_length,
    check_repeat,
    positions_of,
)
from tests.simulation.audit_drain import DrainBook
from tests.simulation.audit_leases import Lease, LeaseTable, SessionKey, session_of
from tests.simulation.audit_log import LogBook, demand
from tests.simulation.audit_order import FirstOrder
from tests.simulation.audit_scope import Scope
from tests.simulation.audit_shares import ShareBook
from tests.simulation.audit_space import ParkedBytes
from tests.simulation.audit_terms import Term, Terms
from tests.simulation.audit_topics import Deletions
from tests.simulation.standing import FRESH, Mark, Standing

ALL = 1 << 40
NOT_AGAIN = 3
"""What was released so often may wait for another session."""


class GroupBook:
    def __init__(
        self, record: GroupRecord, settings: CoreSettings, log: LogBook, deletions: Deletions
    ) -> None:
        self.limits = settings
        self.log = log
        self.terms = Terms(record, settings.group)
        self.scope = Scope(self.terms, log, deletions)
        self.marks: dict[int, Mark] = {}
        self.table = LeaseTable(self.terms)
        self.drain = DrainBook(self.terms)
        self.shares = ShareBook(self.terms)
        self.space = ParkedBytes(self.terms)
        self.boot = 0
        self.grants_from = 0
        self.durable_us = 0
        self.issued: set[bytes] = set()
        self._order = FirstOrder()
        self._unseen = record.start
        self._given_back: set[int] = set()
        self._hidden: int | None = None

    @property
    def record(self) -> GroupRecord:
        return self.terms.now.record

    @property
    def name(self) -> str:
        return self.record.name

    def started(self, boot: int, grants_from: int, forward_us: int) -> None:
        """A new boot: nobody holds anything, and what was not durable may be lost. A wall clock
        that was put forward meanwhile makes waits shorter, by so much and no more."""
        self.boot, self.grants_from = boot, grants_from
        self.table = LeaseTable(self.terms)
        self.drain = DrainBook(self.terms)
        self.shares = ShareBook(self.terms)
        self._order = FirstOrder()
        self._unseen = self.record.start
        self._given_back.clear()
        for mark in self.marks.values():
            mark.crash()
            if forward_us:
                mark.now = mark.disk = mark.now.sooner(forward_us)

    def reopened(self, store: MemoryStore) -> None:
        for lane in (DEFERRED, DEAD):
            found, _ = records.find_parked(store, self.record.gid, lane, (), 0, ALL)
            self.space.reopened(lane, found)

    # ---- hand-outs --------------------------------------------------------------------------

    def delivered(
        self, effect: Deliver, poll: Poll, asked_us: int, hidden: int | None, now: int
    ) -> None:
        """`hidden`: since then answers with leases may be made that wait for a commit, so what
        seems to wait in live may be out."""
        fresh = [grant for grant in effect.leases if grant.lease not in self.table.leases]
        check_answer(effect, poll, self.limits.answer_leases_max)
        check_repeat(effect, poll, self.table.leases, len(fresh))
        self.drain.watch(now)
        self._hidden = hidden
        for grant in sorted(fresh, key=lambda grant: grant.number):
            if hidden is not None:
                self._granted(grant, session_of(poll), now)
            elif grant.lane == LIVE:
                self._check_first_come(grant)
                self._granted(grant, session_of(poll), now)
            else:
                self._drained(grant, session_of(poll), len(effect.leases), now)
        if fresh:
            self._check_limits(session_of(poll), now)
            self.shares.check(fresh, poll, self.name)
        if hidden is None:
            check_length(fresh, poll, self.terms.since(asked_us))
        for grant in effect.leases:
            lease = self.table.leases[grant.lease]
            lease.sent(effect.caller)
        self.table.answered(poll, effect.lease_ids)
        self.drain.answered(poll, {grant.lane for grant in effect.leases}, now)
        self.shares.begun(effect.lease_ids, now)

    def _granted(self, grant: Grant, session: SessionKey, now: int) -> Lease:
        demand(now >= self.grants_from, f"{brief(grant)} within the restart grace")
        demand(
            int.from_bytes(grant.lease[:4], "big") == self.boot,
            f"{brief(grant)} names another boot",
        )
        positions = list(positions_of(grant))
        in_order = positions == sorted(positions) or grant.lane != LIVE
        demand(in_order and len(set(positions)) == len(positions), f"{brief(grant)} is mixed up")
        lease = self.table.add(grant, session, now)
        self.issued.add(lease.id)
        lease.positions.update(positions)
        firsts = []
        for offset, position in enumerate(positions):
            attempts = grant.attempts[offset] if grant.attempts else 0
            deliveries = grant.deliveries[offset] if grant.deliveries else 1
            if self._hand_out(position, lease, attempts, deliveries, now):
                firsts.append(position)
        if firsts:
            self._order.check(grant, firsts)
        return lease

    def _hand_out(
        self, position: int, lease: Lease, attempts: int, deliveries: int, now: int
    ) -> bool:
        """Whether it is its first time in this boot, in live."""
        what = f"{self.name}: {position} to {lease.session!r} by {lease.id.hex()}"
        fault = self.scope.fault(position, lease.lane, self._hidden)
        demand(not fault, f"{what}: {fault}")
        demand(self.log.row_at(position).topic == lease.topic, f"{what}: not of {lease.topic}")
        mark = self.marks.setdefault(position, Mark(position))
        self.let_go(mark, now, what)
        standing = mark.now
        if lease.lane == LIVE:
            demand(standing.live, f"{what}: not live but {standing}")
        else:
            demand(standing.deferred, f"{what}: not deferred but {standing}")
            due_us = standing.due(attempts)
            demand(now >= due_us, f"{what}: {due_us - now} us before it is due")
        in_range = standing.low <= attempts <= standing.high
        demand(in_range, f"{what}: {attempts} attempts, {standing.low}..{standing.high} are right")
        alone = lease.alone or not (standing.suspect and attempts == standing.low)
        demand(alone or lease.lane == LIVE, f"{what}: a suspect, but not alone")
        mark.now = Standing(
            live=lease.lane == LIVE,
            deferred=lease.lane != LIVE,
            low=attempts,
            high=attempts,
            due_us=standing.due(attempts),
            counted_due_us=standing.due(attempts),
        )
        mark.holder = lease.id
        lease.open.add(position)
        self._given_back.discard(position)
        before = mark.hand_out(self.boot)
        if lease.lane != LIVE:
            return False
        # Of hand-outs that were undone before their answer left, only the broker knows.
        demand(before < deliveries, f"{what}: {deliveries} deliveries, {before} before")
        return deliveries == 1

    def _check_first_come(self, grant: Grant) -> None:
        """What came back goes before what never went out."""
        given = set(positions_of(grant))
        if max(given) <= self._order.last:
            return
        back = [one for one in self._returned() if self.marks[one].backs < NOT_AGAIN]
        earlier = [one for one in back if one not in given]
        demand(not earlier, f"{brief(grant)}: {earlier[:3]} came back to the front of live before")

    def let_go(self, mark: Mark, now: int, what: str) -> None:
        """Somebody else gets it, or it is parked: its holder's time must be over."""
        if mark.holder is None:
            return
        lease = self.table.leases[mark.holder]
        demand(lease.may_end(mark.position, now), f"{what}: still with {lease.session!r}")
        self.end_hold(mark, lease, now)

    def end_hold(self, mark: Mark, lease: Lease, now: int) -> None:
        mark.change(self._after_end(mark, lease, now))
        mark.end(lease.id, lease.may_count(mark.position, now))
        self.release(mark, lease)

    def release(self, mark: Mark, lease: Lease) -> None:
        lease.open.discard(mark.position)
        mark.holder = None

    def _after_end(self, mark: Mark, lease: Lease, now: int) -> Standing:
        """Not settled when its lease ended: back to its lane, or suspected, or counted; what an
        outcome may have made of it that nobody has answered yet, it may be all the same."""
        was = mark.now
        counts = lease.may_count(mark.position, now)
        high = was.high + counts
        ended_us = lease.ended_us(mark.position, now)
        return was._replace(
            deferred=True,
            dead=was.dead or (counts and high >= self.terms.attempts(now)[0]),
            high=high,
            due_us=was.due_us if was.deferred else ended_us,
            counted_due_us=ended_us + min(self.terms.backoffs(was.low, now)),
            suspect=was.surely_live,
        )

    # ---- live first, and limits -----------------------------------------------------------------

    def _drained(self, grant: Grant, session: SessionKey, together: int, now: int) -> None:
        """Nothing deferred goes out while live has work, but for the guard against starving; and
        without live work only by the idle rules. The oldest goes first: if any is overdue, it is
        in this grant."""
        what, position = f"{self.name}: {brief(grant)}", self.live_work()
        lease = self._granted(grant, session, now)
        oldest = min(self.marks[one].now.due_us for one in positions_of(grant))
        overdue = now - oldest >= self.terms.now.settings.max_wait_us
        if position is not None:
            what = f"{what} while {position} waits in live"
            demand(overdue and together == 1, f"{what}, oldest {now - oldest} us")
            self.drain.check_guard(lease, now, what)
        elif not overdue:
            self.drain.check_surplus(lease, self.table.busy.values(), now, what)

    def live_work(self) -> int | None:
        """A message that waits in live for certain."""
        for position in self._returned():
            return position
        self._unseen = max(self._unseen, self._order.last + 1)
        while self._unseen < self.log.told_end:
            mark = self.marks.get(self._unseen)
            if self.scope.is_certain(self._unseen) and (mark is None or _is_free(mark)):
                return self._unseen
            self._unseen += 1
        return None

    def _returned(self) -> list[int]:
        """What came back to the front of live for certain and is still there."""
        for position in list(self._given_back):
            mark = self.marks[position]
            is_there = mark.holder is None and mark.now.surely_live
            if not is_there or not self.scope.is_certain(position):
                self._given_back.discard(position)
        return sorted(self._given_back)

    def _check_limits(self, session: SessionKey, now: int) -> None:
        self.table.tidy()
        out = leases = 0
        for lease in self.table.busy.values():
            held = sum(not lease.may_end(position, now) for position in lease.open)
            out += held
            leases += held > 0 and lease.session == session
        terms = [self.terms.now] if self._hidden is None else self.terms.since(self._hidden)
        most = max(term.settings.leases_per_session for term in terms)
        demand(leases <= most, f"{session!r} has {leases} leases of {most}")
        most = max(term.settings.max_out for term in terms)
        demand(out <= most, f"{self.name}: {out} messages are out of {most}")

    # ---- what ends holds early ------------------------------------------------------------------

    def polled(self, poll: Poll, now: int) -> None:
        self.drain.polled(poll, now)
        self.shares.polled(poll, now)
        self.undone(self.table.polled(poll), now)
        if poll.progress is not None:
            self.table.reported(session_of(poll), poll.progress, now)

    def reported(self, session: SessionKey, progress: Progress, now: int) -> None:
        self.table.reported(session, progress, now)
        self.drain.reported(session, now)

    def left(self, session: SessionKey, now: int) -> None:
        self.table.end_session(session, now)
        self.drain.left(session)
        self.shares.left(session)

    def changed(self, args: Mapping[str, Any], now: int) -> Term:
        return self.terms.change(args, now, self.log.end)

    def undelivered(self, event: Undelivered, polls: Sequence[Poll], now: int) -> None:
        """`polls`: those that have no answer yet. If one asks for the same answer, that may wait
        for a commit: the leases are over perhaps, and nothing is back for certain."""
        lost = [one for one in event.leases if self.table.is_unheard(one, event.caller)]
        for lease in [self.table.leases[one] for one in lost]:
            if any(self.table.asks_again(poll, lease) for poll in polls):
                lease.close(now)
            else:
                self.undone((lease.id,), now)

    def undone(self, leases: tuple[bytes, ...], now: int) -> None:
        """They reached nobody: what they hold goes back to where it was, uncounted."""
        for lease in [self.table.leases[one] for one in leases if one in self.table.leases]:
            for position in sorted(lease.open):
                if not lease.may_end(position, now):
                    self.put_back(self.marks[position], lease)
            lease.close(now)

    def bury(self, leases: tuple[bytes, ...], damaged: range) -> None:
        """What these leases hold of a damaged block is dead."""
        for lease in [self.table.leases[one] for one in leases if one in self.table.leases]:
            for position in sorted(lease.open.intersection(damaged)):
                mark = self.marks[position]
                self.release(mark, lease)
                mark.change(Standing(dead=True, low=mark.now.low, high=mark.now.high))

    def put_back(self, mark: Mark, lease: Lease) -> None:
        self.release(mark, lease)
        if lease.lane == LIVE:
            self.give_back(mark)

    def give_back(self, mark: Mark) -> None:
        self._given_back.add(mark.position)

    def shortened(self, lease_id: bytes, kept: int) -> None:
        """It went out with its first pieces only."""
        lease = self.table.leases[lease_id]
        left = {at for piece in lease.pieces[kept:] for at in range(piece.first, piece.last + 1)}
        for position in sorted(lease.open & left):
            self.put_back(self.marks[position], lease)

    # ---- records ----------------------------------------------------------------------------

    def parked(self, park: Park, now: int) -> None:
        """The core writes down a move to a lane; it must be one that may have happened."""
        record, most = park.record, self.limits.history_first + self.limits.history_last
        demand(len(record.history) <= most, f"{record} has more than {most} lines of history")
        self.space.parked(park, now)
        self._check_wait(park, now)
        for position in range(record.first, record.last + 1):
            mark = self.marks.setdefault(position, Mark(position))
            what = f"{self.name}: {position} parked {park.lane}"
            if park.lane == DEAD:
                self._died(mark, now, what)
            elif mark.holder and self.table.leases[mark.holder].may_end(position, now):
                self.let_go(mark, now, what)

    def _check_wait(self, park: Park, now: int) -> None:
        """What has just failed and was counted waits by the backoff list."""
        record, before = park.record, park.old[1].failures if park.old else 0
        if park.lane == DEFERRED and record.failures > before and record.history[-1].counted:
            right = self.terms.backoffs(record.attempts - 1, now)
            demand(record.delay_us in right, f"{record} is due after {record.delay_us} us: {right}")

    def _died(self, mark: Mark, now: int, what: str) -> None:
        self.let_go(mark, now, what)
        demand(mark.now.dead, f"{what}, but is {mark.now}")
        mark.change(Standing(dead=True, low=mark.now.low, high=mark.now.high))

    # ---- the end ----------------------------------------------------------------------------

    def unsettled(self) -> Iterator[int]:
        """Messages that are not known to be acked or dead."""
        for position in self.scope.certain():
            mark = self.marks.get(position)
            if mark is None or not (mark.now.done or mark.now.dead):
                yield position

    def reads_for_good(self, topic: str) -> bool:
        """By what the disk has of it for certain."""
        return bool(self.durable_us) and self.terms.reads_on_disk(topic)

    def needs(self, position: int) -> bool:
        """Its bytes in the log are needed: the disk may still say that it is live."""
        if not self.scope.is_kept(position):
            return False
        mark = self.marks.get(position)
        return mark is None or (mark.disk.surely_live and not mark.pending)


def _is_free(mark: Mark) -> bool:
    return mark.holder is None and (mark.now is FRESH or mark.now.surely_live)
