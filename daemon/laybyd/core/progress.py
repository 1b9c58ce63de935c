"""Progress reports: they keep leases alive and show which message takes too long.

Owns `max_handling` and holds. Must never know what becomes of a message that is taken away.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from laybyd.core.expiry import Expiry, has_reported
from laybyd.core.intervals import Range, RangeSet
from laybyd.core.leases import Lease
from laybyd.core.parts import Parts
from laybyd.core.sessions import Session, Working
from laybyd.core.settings import MS
from laybyd.core.types import Progress

HOLDS_MAX = 8_192


class Reports:
    def __init__(self, parts: Parts, expiry: Expiry) -> None:
        self._parts = parts
        self._expiry = expiry

    def report(self, session: Session, progress: Progress, now: int) -> None:
        """The leases last as long again as they did, from now: see `lease_end`."""
        session.heard_us = session.progress_us = now
        self._note_holds(session, progress, now)
        held = sorted(session.holds)
        session.working = [
            Working(first, last, self._limit(session, held, (first, last), now - age_ms * MS))
            for first, last, age_ms in progress.working
        ]
        session.named = RangeSet((first, last) for first, last, _ in progress.working)
        self.watch(session)

    def _note_holds(self, session: Session, progress: Progress, now: int) -> None:
        for position, hold_ms in progress.hold:
            session.holds[position] = now + hold_ms * MS
        if session.holds:
            still = [(at, until) for at, until in session.holds.items() if until > now]
            session.holds = dict(still[-HOLDS_MAX:])

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
            at = min(one.limit_us for one in session.working)
            self._parts.timers.set(("handling", session), at)
        else:
            self._parts.timers.cancel(("handling", session))

    def enforce(self, session: Session, now: int) -> None:
        """Take what is over its limit from its lease; the lease goes on."""
        stuck = [one for one in session.working if one.limit_us <= now]
        session.working = [one for one in session.working if one.limit_us > now]
        for one in stuck:
            later = self._take(session, one, now)
            if later:
                session.working.append(one._replace(limit_us=later))
        self.watch(session)

    def _take(self, session: Session, one: Working, now: int) -> int:
        """A handler may have been at it since before the lease (of an earlier boot, say): a lease
        is held against nobody before it was given. Gives when to look again, or 0."""
        later = 0
        for lease in filter(has_reported, list(session.leases.values())):
            if lease.open.overlap(one.first, one.last):
                earliest = lease.granted_us + self._parts.settings.max_handling_us
                if earliest > now:
                    later = max(later, earliest)
                else:
                    self._expiry.take_stuck(lease, one.first, one.last, now)
        return later

    def _limit(self, session: Session, held: Sequence[int], one: Range, since: int) -> int:
        """From its start: `max_handling`, unless the application asked for more."""
        settings = self._parts.settings
        limit = since + settings.max_handling_us
        held = held[bisect_left(held, one[0]) : bisect_right(held, one[1])]
        if held:
            asked = max(session.holds[at] for at in held)
            limit = max(limit, min(asked, since + settings.max_hold_us))
        return limit


def lease_end(lease: Lease) -> int:
    """A report moves the end of all leases of its session at once."""
    return max(lease.ends_us, lease.session.progress_us + lease.lease_us)
