"""When deferred work may be handed out: the idle rules, and the guards of a busy group.

Owns surplus, headroom and the allowance. Must never know how a lease is made.

Idle is a property of capacity, not of traffic: see "Idle and drain" in ARCHITECTURE.md.
"""

from __future__ import annotations

from laybyd.core.load import SLOT_US, Allowance
from laybyd.core.parts import Parts
from laybyd.core.sessions import Session, Waiting, in_a_slice

FEW_HANDLERS = 2


class Drain:
    def __init__(self, parts: Parts, now: int) -> None:
        self._parts = parts
        self._allowance = Allowance(now, parts.settings.drain_slice_us)
        self._live_seen_us = now

    def live_seen(self, now: int) -> None:
        """There was live work to hand out."""
        self._live_seen_us = now

    # ---- surplus: the live lane is empty --------------------------------------------------------

    def surplus(self, now: int) -> Waiting | None:
        """The poll that gets deferred work now, if one may."""
        due = self._parts.deferred.next_due
        if due is None or due > now or not self._has_headroom(now):
            return None
        longest = self._parts.sessions.longest()
        if longest is None:
            return None
        if longest.arrived_us + self._parts.settings.idle_after_us <= now:
            return longest
        latest = self._parts.sessions.latest()
        return latest if latest is not None and latest.back else None

    def _has_headroom(self, now: int) -> bool:
        """Deferred work must not take the handlers that live will need."""
        parts = self._parts
        handlers = parts.sessions.handlers
        if handlers <= FEW_HANDLERS:
            return (
                not parts.leases.deferred
                and now - self._live_seen_us >= parts.settings.idle_after_us
                and parts.load.mean(now) * 2 < handlers
            )
        free = handlers - parts.load.need(now) - parts.settings.reserve
        return parts.leases.deferred + 1 <= free

    # ---- guards: deferred work waits for too long -----------------------------------------------

    def guarded(self, now: int) -> Waiting | None:
        """The poll that gets an overdue lease though the group is busy: one at a time, as far as
        its share of handler time goes."""
        parts = self._parts
        overdue = self._overdue_at()
        if overdue is None or overdue > now or parts.leases.guards:
            return None
        return parts.sessions.latest() if self._tokens(now) > 0 else None

    def _overdue_at(self) -> int | None:
        due = self._parts.deferred.next_due
        return None if due is None else due + self._parts.settings.max_wait_us

    def _tokens(self, now: int) -> float:
        parts, settings = self._parts, self._parts.settings
        self._allowance.pay(parts.leases.guard_us)
        parts.leases.guard_us = 0
        handlers = parts.sessions.handlers
        return self._allowance.tokens(
            now, settings.busy_share_ppm, handlers, settings.drain_slice_us
        )

    # ---- sizes and times ------------------------------------------------------------------------

    def lease_records(self, session: Session, deferred_us: float | None) -> int:
        """A lease lasts about a drain slice, by the measured time of deferred messages."""
        if deferred_us is None:
            return 1
        slice_us = self._parts.settings.drain_slice_us
        return in_a_slice(slice_us, deferred_us, session.told_deferred_us)

    def look_again_at(self, now: int) -> int | None:
        """When the answer may be another one though nothing happens."""
        parts = self._parts
        due = parts.deferred.next_due
        if due is None or not parts.sessions.any_waiting:
            return None
        times = []
        longest = parts.sessions.longest()
        if longest is not None and parts.live.empty:
            idle_at = max(longest.arrived_us, self._live_seen_us) + parts.settings.idle_after_us
            times.append(max(due, idle_at))
        if not parts.leases.guards:
            times.append(self._guard_at(now))
        soon = (now // SLOT_US + 1) * SLOT_US
        return min((at if at > now else soon for at in times), default=None)

    def _guard_at(self, now: int) -> int:
        """When a message is overdue and the allowance has something again."""
        parts, settings = self._parts, self._parts.settings
        overdue = self._overdue_at()
        assert overdue is not None, "asked only while something is due"
        missing = -self._tokens(now)
        rate = max(1, settings.busy_share_ppm * parts.sessions.handlers)
        filled = now if missing < 0 else now + int(missing * 1_000_000 / rate) + 1_000
        return max(overdue, filled)
