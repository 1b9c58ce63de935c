"""Progress reports: they keep leases alive and show which message takes too long.

Owns `max_handling` and holds. Must never know what becomes of a message that is taken away.
"""

from __future__ import annotations

from collections.abc import Sequence

from laybyd.core.expiry import Expiry
from laybyd.core.intervals import Range, RangeSet
from laybyd.core.leases import Lease
from laybyd.core.parts import Parts
from laybyd.core.sessions import Session
from laybyd.core.types import Progress

HOLDS_MAX = 8_192


class Reports:
    def __init__(self, parts: Parts, expiry: Expiry) -> None:
        self._parts = parts
        self._expiry = expiry

    def report(self, session: Session, progress: Progress, now: int) -> None:
        """The leases last as long again as they did, from now: see `lease_end`."""
        session.heard_us = session.progress_us = now
        session.working = sorted(
            (first, last, now - age_ms * 1_000) for first, last, age_ms in progress.working
        )
        for position, hold_ms in progress.hold[:HOLDS_MAX]:
            session.holds[position] = now + hold_ms * 1_000
        if session.holds:
            kept = {p: until for p, until in session.holds.items() if until > now}
            session.holds = dict(list(kept.items())[-HOLDS_MAX:])
        self.watch(session)

    def lost(self, session: Session, progress: Progress) -> list[Range]:
        """Of what is named as worked on: what the session does not hold."""
        named = RangeSet((first, last) for first, last, _ in progress.working)
        for lease in session.leases.values():
            for run in lease.open:
                named.remove(*run)
        return list(named)

    def watch(self, session: Session) -> None:
        """Look again when the first of them has taken too long."""
        if session.working:
            at = min(self._limit(session, *one) for one in session.working)
            self._parts.timers.set(("handling", session), at)
        else:
            self._parts.timers.cancel(("handling", session))

    def enforce(self, session: Session, now: int) -> None:
        """Take what is over its limit from its lease; the lease goes on."""
        stuck = [one for one in session.working if self._limit(session, *one) <= now]
        session.working = [one for one in session.working if self._limit(session, *one) > now]
        for first, last, _ in stuck:
            for lease in self._leases_of(session, first, last):
                self._expiry.take_stuck(lease, first, last, now)
        self.watch(session)

    def _leases_of(self, session: Session, first: int, last: int) -> Sequence[Lease]:
        return [one for one in session.leases.values() if one.open.overlap(first, last)]

    def _limit(self, session: Session, first: int, last: int, since: int) -> int:
        """From its start: `max_handling`, unless the application asked for more."""
        settings = self._parts.settings
        limit = since + settings.max_handling_us
        held = [until for at, until in session.holds.items() if first <= at <= last]
        if held:
            limit = max(limit, min(max(held), since + settings.max_hold_us))
        return limit


def lease_end(lease: Lease) -> int:
    """A report moves the end of all leases of its session at once."""
    return max(lease.ends_us, lease.session.progress_us + lease.lease_us)
