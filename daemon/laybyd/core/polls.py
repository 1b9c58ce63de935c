"""Polls: how they arrive, wait, are repeated, replaced and answered.

Owns a session's numbering of polls and the answers to them. Must never know what is handed out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import compress

from laybyd.core.effects import Deliver, Effect, Grant, Lost
from laybyd.core.events import Poll
from laybyd.core.expiry import Expiry
from laybyd.core.leases import Lease
from laybyd.core.parts import Parts
from laybyd.core.sessions import Session, Settlement, Waiting
from laybyd.core.settings import HOUR, MS, SECOND
from laybyd.core.space import Space

LEASE_US_MIN = 10 * MS
LEASE_US_MAX = HOUR
LOOK_ON_US = SECOND
"""A poll whose time is up waits so long for what is being looked up. Clients give up after two."""

NOTHING = "nothing"
REPLACED = "replaced"
TAKEN_BACK = "taken back"
GRACE = "restart grace"
MAX_OUT = "max out"
NO_ROOM = "no room"
QUIESCING = "quiescing"
DELETED = "deleted"


class Polls:
    """`made_in`: the batch that makes the group durable; no poll is answered before it."""

    def __init__(
        self, parts: Parts, expiry: Expiry, made_in: int, grace_until: int, space: Space
    ) -> None:
        self._parts = parts
        self._expiry = expiry
        self._made_in = made_in
        self._grace_until = grace_until
        self._space = space
        self.closed = ""
        self._overdue: dict[Session, Waiting] = {}
        self._capped: dict[Session, Waiting] = {}

    # ---- a poll arrives -------------------------------------------------------------------------

    def arrive(self, session: Session, event: Poll, settlement: Settlement, now: int) -> None:
        n = session.n + 1 if event.n is None else event.n
        if n < session.n:
            self._speak_nothing(event, n, settlement, REPLACED)
        elif n == session.n and session.answered is not None:
            session.answered.caller = event.caller
            # It may have named another number of handlers than before.
            self._parts.load.note(session, now)
            self._repeat(session, event, settlement, now)
        else:
            self._replace_waiting(session, event)
            if event.n is not None and event.got is not None:
                self._return_unheard(session, event.got, now)
            idle_since = _idle_since(session, now)
            self._begin(session, n, event, now)
            self._park(session, event, settlement, now, idle_since)

    def _replace_waiting(self, session: Session, event: Poll) -> None:
        if session.waiting is not None:
            self._leave_lines(session)
            old, session.waiting = session.waiting, None
            self._send(old, (), REPLACED if event.credit else TAKEN_BACK)

    def _return_unheard(self, session: Session, got: int, now: int) -> None:
        """The session has not received the last answer: nobody works on its leases."""
        if session.answered is not None and got < session.answered.n:
            for lease in [one for one in session.leases.values() if one.answer.n > got]:
                self._expiry.undo(lease, now)

    def _begin(self, session: Session, n: int, event: Poll, now: int) -> None:
        session.n = n
        session.answered = session.unsent = None
        session.grants = ()
        session.idle = min(session.handlers, 1 if event.idle is None else event.idle)
        session.told_live_us, session.told_deferred_us = event.live_us, event.deferred_us
        lease_us = self._parts.settings.lease_us
        if event.lease_ms is not None:
            lease_us = min(max(event.lease_ms * MS, LEASE_US_MIN), LEASE_US_MAX)
        session.lease_us = lease_us
        self._parts.timers.set(("session", session), now + lease_us)
        self._parts.load.note(session, now)

    def _park(
        self, session: Session, event: Poll, settlement: Settlement, now: int, idle_since: int
    ) -> None:
        wait_us = min(event.wait_ms * MS, self._parts.core.wait_us_max)
        until = now + wait_us
        waiting = session.waiting = Waiting(session, event, settlement, idle_since, until)
        if not event.credit:
            self.answer_nothing(waiting, TAKEN_BACK, now)
        elif self.closed:
            self.answer_nothing(waiting, self.closed, now)
        else:
            self._parts.timers.set(("poll", session), waiting.until_us)
            self._stand_in_line(waiting)

    def _stand_in_line(self, waiting: Waiting) -> None:
        """Not before its outcomes are known, and not while it holds as many leases as it may."""
        session = waiting.session
        if waiting.settlement.lookups:
            waiting.settlement.then.append(lambda: self._lookups_done(waiting))
            return
        if len(session.leases) >= self._parts.settings.leases_per_session:
            self._capped[session] = waiting
        else:
            self._parts.sessions.offer(waiting)

    def _lookups_done(self, waiting: Waiting) -> None:
        if waiting.session.waiting is waiting:
            self._stand_in_line(waiting)

    def may_give(self, now: int) -> bool:
        """Not what may fail when there is no room for what becomes of it."""
        return not (self.closed or self._space.state_spent) and now >= self._grace_until

    def gives_from(self, now: int) -> int | None:
        """When to look again, if that is known."""
        return self._grace_until if not self.closed and now < self._grace_until else None

    def cap(self) -> None:
        """Fewer leases may be allowed than before: who holds as many does not stand in line."""
        sessions = self._parts.sessions
        for waiting in [*sessions.idle.values(), *sessions.ahead.values()]:
            if len(waiting.session.leases) >= self._parts.settings.leases_per_session:
                sessions.withdraw(waiting.session)
                self._capped[waiting.session] = waiting

    def uncap(self) -> None:
        """Sessions that hold fewer leases again stand in line."""
        for session, waiting in list(self._capped.items()):
            if len(session.leases) < self._parts.settings.leases_per_session:
                del self._capped[session]
                self._parts.sessions.offer(waiting)

    # ---- a poll is answered ---------------------------------------------------------------------

    def answer(self, waiting: Waiting, grants: tuple[Grant, ...], now: int, why: str = "") -> None:
        session = waiting.session
        self._leave_lines(session)
        session.waiting = None
        session.answered = waiting
        session.grants = grants
        session.heard_us = max(session.heard_us, now)
        if not self._send(waiting, grants, why):
            self.hold_back(self._leases(grants))

    def _leases(self, grants: Sequence[Grant]) -> list[Lease]:
        return [self._parts.leases.live[grant.lease] for grant in grants]

    def hold_back(self, leases: Sequence[Lease]) -> None:
        """Nobody can work on what has not been sent: no time runs before it is."""
        for lease in leases:
            lease.held_back = True
            self._parts.timers.cancel(("lease", lease))

    def sent(self, answer: Deliver, now: int) -> Deliver:
        """The answer goes out, with those of its leases that are not over by now."""
        live = self._parts.leases.live
        grants = tuple(grant for grant in answer.leases if grant.lease in live)
        self.begin_time(self._leases(grants), now)
        return answer._replace(leases=grants, why=answer.why if grants else REPLACED)

    def begin_time(self, leases: Sequence[Lease], now: int) -> None:
        for lease in leases:
            if lease.held_back:
                lease.begin(now)
                lease.session.heard_us = max(lease.session.heard_us, now)
                self._parts.timers.set(("lease", lease), lease.ends_us)

    def answer_nothing(self, waiting: Waiting, why: str, now: int) -> None:
        self.answer(waiting, (), now, why)

    def _leave_lines(self, session: Session) -> None:
        self._parts.sessions.withdraw(session)
        self._capped.pop(session, None)
        self._overdue.pop(session, None)
        self._parts.timers.cancel(("poll", session))

    def _repeat(self, session: Session, event: Poll, settlement: Settlement, now: int) -> None:
        """The answer was lost: the same leases again, with what of them is not over."""
        grants = tuple(
            what_is_left(grant, session.leases[grant.lease])
            for grant in session.grants
            if grant.lease in session.leases
        )
        # Where the bytes of what is left lie now may still be on its way to the state store.
        self._parts.journal.flush()
        n, name, slow_ms = session.n, self._parts.record.name, self._slow_ms
        why = "" if grants else NOTHING
        assert session.answered is not None, "repeated what was never answered"
        session.answered.is_sent(event.caller)
        if self.speak(
            settlement, lambda lost: Deliver(event.caller, name, n, grants, lost, why, slow_ms)
        ):
            self.begin_time(self._leases(grants), now)

    def _send(self, waiting: Waiting, grants: tuple[Grant, ...], why: str) -> bool:
        # A repeat that comes before this is sent takes the caller's place, and has its own answer.
        caller, name, slow_ms = waiting.caller, self._parts.record.name, self._slow_ms
        waiting.is_sent(caller)
        return self.speak(
            waiting.settlement,
            lambda lost: Deliver(caller, name, waiting.n, grants, lost, why, slow_ms),
        )

    @property
    def _slow_ms(self) -> int:
        return self._parts.settings.hand_back_after_us // 1_000

    def _speak_nothing(self, event: Poll, n: int, settlement: Settlement, why: str) -> None:
        name = self._parts.record.name
        self.speak(settlement, lambda lost: Deliver(event.caller, name, n, (), lost, why))

    def speak(
        self,
        settlement: Settlement,
        make: Callable[[tuple[Lost, ...]], Effect],
        hurry: bool = True,
    ) -> bool:
        """Send an answer once what it says is known and durable. Gives whether it went at once."""
        if settlement.lookups:
            settlement.then.append(lambda: self.speak(settlement, make, hurry))
            return False
        batch = max(settlement.batch, self._made_in)
        return self._parts.journal.after(batch, make(tuple(settlement.refused)), hurry)

    # ---- a poll has waited long enough ----------------------------------------------------------

    def time_is_up(self, session: Session, now: int) -> None:
        """Nothing came; but whoever asks must not be told so while the broker has not looked."""
        waiting = session.waiting
        assert waiting is not None, "the timer of a poll outlived it"
        if self._still_looking(waiting) and now < waiting.until_us + LOOK_ON_US:
            self._overdue[session] = waiting
            self._parts.timers.set(("poll", session), waiting.until_us + LOOK_ON_US)
        else:
            self.answer_nothing(waiting, self._why(waiting, now), now)

    def answer_overdue(self, now: int) -> None:
        for waiting in list(self._overdue.values()):
            if not self._still_looking(waiting):
                self.answer_nothing(waiting, self._why(waiting, now), now)

    def _still_looking(self, waiting: Waiting) -> bool:
        live = self._parts.live
        return bool(waiting.settlement.lookups) or (live.loading and not live.ready)

    def _why(self, waiting: Waiting, now: int) -> str:
        if now < self._grace_until:
            return GRACE
        if self._space.state_spent:
            return NO_ROOM
        full = self._parts.leases.out >= self._parts.settings.max_out
        return MAX_OUT if full or waiting.session in self._capped else NOTHING

    def answer_all(self, why: str, now: int) -> None:
        """Nobody gets anything any more."""
        self.closed = why
        waiting: Sequence[Waiting] = [
            one.waiting for one in self._parts.sessions.by_key.values() if one.waiting is not None
        ]
        for one in waiting:
            self.answer_nothing(one, why, now)

    # ---- answers that did not arrive ------------------------------------------------------------

    def not_sent(self, lease: Lease) -> bool:
        """The answer with this lease never left. If it is the session's last one, the same n may
        be asked again."""
        session = lease.session
        if lease.answer.n != session.n or session.waiting is not None:
            return False
        session.grants = ()
        session.unsent = session.unsent or session.answered
        session.answered = None
        return True

    def answer_replaced(self, answer: Deliver) -> None:
        """Its leases could not be sent, and nobody asks for it again: unless its poll waits."""
        waiting = (one.waiting for one in self._parts.sessions.by_key.values())
        if all(one is None or one.caller != answer.caller for one in waiting):
            self._parts.out.append(answer._replace(leases=(), why=REPLACED))

    def ask_again(self, session: Session, now: int) -> None:
        """The last answer could not be made: its poll waits once more."""
        waiting, session.unsent = session.unsent, None
        assert waiting is not None, "asked again for what was sent"
        session.waiting = waiting
        session.idle = waiting.idle
        if self.closed:
            self.answer_nothing(waiting, self.closed, now)
            return
        self._parts.timers.set(("poll", session), max(waiting.until_us, now))
        self._stand_in_line(waiting)

    def shortened(self, session: Session, lease: bytes, kept: int) -> None:
        """What is answered again must be what went out."""
        session.grants = tuple(
            _shortened(grant, kept) if grant.lease == lease else grant for grant in session.grants
        )


def _idle_since(session: Session, now: int) -> int:
    """A client that asks again and again rather than wait is idle since it first got nothing."""
    last = session.answered
    got_nothing = last is not None and last.credit and last.idle and not session.grants
    return last.arrived_us if last is not None and got_nothing else now


def what_is_left(grant: Grant, lease: Lease) -> Grant:
    """The grant without what was settled meanwhile: the bytes of that may be gone, and those of
    the rest may have moved."""
    was = [at for one in grant.pieces for at in range(one.first, one.last + 1)]
    if lease.left == len(was):
        return grant
    is_left = [at in lease.open for at in was]
    return grant._replace(
        pieces=lease.pieces(),
        attempts=tuple(compress(grant.attempts, is_left)),
        deliveries=tuple(compress(grant.deliveries, is_left)),
        history=tuple(compress(grant.history, is_left)),
    )


def _shortened(grant: Grant, kept: int) -> Grant:
    pieces = grant.pieces[:kept]
    messages = sum(piece.last - piece.first + 1 for piece in pieces)
    return grant._replace(
        pieces=pieces,
        attempts=grant.attempts[:messages],
        deliveries=grant.deliveries[:messages],
        history=grant.history[:messages],
    )
