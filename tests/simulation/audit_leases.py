"""The auditor's own lease table: who holds what, and the earliest moment each hold may end.

Owns sessions and leases of one group in one boot. Times here are the earliest the broker may act:
an earlier end of a hold is a broken promise, a later one is not.
"""

from __future__ import annotations

from laybyd.core.effects import Grant
from laybyd.core.events import Poll
from laybyd.core.settings import GroupSettings
from laybyd.core.types import Caller, Progress
from tests.simulation.audit_terms import Terms
from tests.simulation.world import MS

SessionKey = bytes

NEVER = 1 << 62

SENDINGS = 8
"""After more sendings of one answer it is never taken back: one may have arrived."""


def session_of(poll: Poll) -> SessionKey:
    """A poll without a session stands for its connection."""
    return poll.session if poll.session is not None else b"connection " + poll.caller.peer


class Lease:
    def __init__(self, grant: Grant, session: SessionKey, now: int) -> None:
        self.id = grant.lease
        self.session = session
        self.lane = grant.lane
        self.alone = grant.alone
        self.topic = grant.topic
        self.pieces = grant.pieces
        self.length_us = grant.lease_ms * MS
        self.granted_us = now
        self.end_us = NEVER
        self.sent_to: list[Caller] = []
        self.sendings = 0
        self.begun = False
        self.over = False
        self.open: set[int] = set()
        self.positions: set[int] = set()
        self.limits: dict[int, int] = {}
        self.starts: dict[int, int] = {}
        self.handling_us = 0
        self.named: set[int] = set()
        self.suspects: set[int] = set()
        """Those that may be counted when this lease ends, because they were named alone."""

    def begin(self, now: int) -> None:
        """Its answer leaves, for the first time: its time begins."""
        if not self.begun and not self.over:
            self.begun = True
            self.granted_us, self.end_us = now, now + self.length_us

    def sent(self, caller: Caller) -> None:
        self.sent_to.append(caller)
        self.sendings += 1

    def may_end(self, position: int, now: int) -> bool:
        return self.over or now >= self.end_us or now >= self.limits.get(position, now + 1)

    def ended_us(self, position: int, now: int) -> int:
        """The earliest moment at which it may have ended."""
        return min(now, self.end_us, self.limits.get(position, now))

    def close(self, now: int) -> None:
        self.over = True
        self.end_us = min(self.end_us, now)

    def report(self, progress: Progress, now: int, settings: GroupSettings) -> None:
        self.end_us = max(self.end_us, now + self.length_us)
        if settings.max_handling_us < self.handling_us:
            self._hurry(settings.max_handling_us)
        self.handling_us = settings.max_handling_us
        named: set[int] = set()
        for first, last, age_ms in progress.working:
            for position in range(first, last + 1):
                if position in self.open:
                    named.add(position)
                    since = max(now - age_ms * MS, self.granted_us)
                    self._started(position, since, settings)
        self.named = named
        if len(named) == 1:
            self.suspects |= named
        for position, hold_ms in progress.hold:
            if position in self.starts and now < self.limits[position]:
                latest = self.starts[position] + settings.max_hold_us
                least = self.starts[position] + settings.max_handling_us
                self.limits[position] = max(least, min(now + hold_ms * MS, latest))

    def _started(self, position: int, at_us: int, settings: GroupSettings) -> None:
        start = min(at_us, self.starts.get(position, at_us))
        if position not in self.starts or start < self.starts[position]:
            self.starts[position] = start
            limit = start + settings.max_handling_us
            self.limits[position] = min(limit, self.limits.get(position, limit))

    def _hurry(self, handling_us: int) -> None:
        """Handling may take less long than before: it counts from this report on."""
        for position, start in self.starts.items():
            self.limits[position] = min(self.limits[position], start + handling_us)

    def may_count(self, position: int, now: int) -> bool:
        """Ended now: could the broker hold it against this message alone?"""
        return (
            position in self.suspects
            or len(self.open) == 1
            or self.named & self.open == {position}
            or now >= self.limits.get(position, now + 1)
        )


class Session:
    """`answered` is the n of the last answer with leases, and `leases` what it held."""

    def __init__(self) -> None:
        self.n = 0
        self.answered = 0
        self.leases: tuple[bytes, ...] = ()


class LeaseTable:
    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self.leases: dict[bytes, Lease] = {}
        self.busy: dict[bytes, Lease] = {}
        self._sessions: dict[SessionKey, Session] = {}

    def add(self, grant: Grant, session: SessionKey, now: int) -> Lease:
        lease = Lease(grant, session, now)
        self.leases[grant.lease] = self.busy[grant.lease] = lease
        return lease

    def of(self, session: SessionKey) -> list[Lease]:
        return [lease for lease in self.busy.values() if lease.session == session]

    def tidy(self) -> None:
        """Leases with nothing open stay known for late settles, but hold nobody up."""
        for one in [one for one, lease in self.busy.items() if not lease.open]:
            del self.busy[one]

    # ---- what ends or moves leases --------------------------------------------------------------

    def polled(self, poll: Poll) -> tuple[bytes, ...]:
        """The leases that this poll gives back, because it has not heard of them."""
        session = self._sessions.setdefault(session_of(poll), Session())
        if poll.n is None or poll.n <= session.n:
            return ()
        session.n = poll.n
        unheard = poll.got is not None and poll.got < session.answered
        return session.leases if unheard else ()

    def is_unheard(self, lease_id: bytes, caller: Caller) -> bool:
        """It was sent to this caller, which failed, as every other sending did."""
        lease = self.leases.get(lease_id)
        if lease is None or caller not in lease.sent_to:
            return False
        lease.sent_to.remove(caller)
        return not lease.sent_to and lease.sendings <= SENDINGS

    def asks_again(self, poll: Poll, lease: Lease) -> bool:
        """For the latest answer of the lease's session."""
        session = self._sessions.get(lease.session)
        is_same = poll.n is not None and session is not None and poll.n == session.answered
        return is_same and session_of(poll) == lease.session

    def answered(self, poll: Poll, leases: tuple[bytes, ...]) -> None:
        session = self._sessions.setdefault(session_of(poll), Session())
        if poll.n is not None:
            # The poll that made the group was seen before there was a table.
            session.n = max(session.n, poll.n)
            session.answered, session.leases = poll.n, leases

    def reported(self, key: SessionKey, progress: Progress, now: int) -> None:
        for lease in self.of(key):
            if not lease.over and now < lease.end_us:
                lease.report(progress, now, self._terms.now.settings)

    def end_session(self, key: SessionKey, now: int) -> None:
        for lease in self.of(key):
            lease.close(now)
        self._sessions.pop(key, None)

    def moved(self, late_us: int, now: int) -> None:
        """By so much, though nobody reports later than now; but for those that may have ended
        before the process stood still."""
        for lease in self.busy.values():
            if lease.end_us > now - late_us:
                latest = max(lease.end_us, now + lease.length_us)
                lease.end_us = min(lease.end_us + late_us, latest)
