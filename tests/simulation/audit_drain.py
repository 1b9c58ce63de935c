"""The auditor's opinion of draining: whether a deferred hand-out was this session's to get.

Owns what that takes: the handlers heard of lately, since when each session has had nothing to do,
and the handler time that the guard has spent. Each is a bound in the broker's favour, since the
auditor sees an answer when it leaves, not when it was made.
"""

from __future__ import annotations

from collections.abc import Iterable

from laybyd.core.events import Poll
from laybyd.core.settings import GroupSettings
from laybyd.core.types import LIVE
from tests.simulation.audit_leases import Lease, SessionKey, session_of
from tests.simulation.audit_log import demand
from tests.simulation.audit_terms import Terms
from tests.simulation.world import MS, SECOND

PPM = 1_000_000
FEW_HANDLERS = 2
SLACK_US = 5 * SECOND
"""A session that fell silent may be forgotten by so much later than after its lease."""


class Seen:
    """A session. `came_back`: its last work may have been deferred work."""

    def __init__(self, now: int) -> None:
        self.handlers = 1
        self.lease_us = 0
        self.heard_us = now
        self.idle_since_us = now
        self.latest: Poll | None = None
        self.is_answered = True
        self.got_leases = False
        self.came_back = False


class DrainBook:
    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._seen: dict[SessionKey, Seen] = {}
        self._most_handlers = 0
        self._surplus: set[bytes] = set()
        self._guards: list[Lease] = []
        self._guarded_us: dict[bytes, int] = {}
        self._tokens = float(self._settings.drain_slice_us)
        self._since_us: int | None = None

    @property
    def _settings(self) -> GroupSettings:
        return self._terms.now.settings

    # ---- sessions -----------------------------------------------------------------------------

    def polled(self, poll: Poll, now: int) -> None:
        seen = self._heard(session_of(poll), now)
        seen.handlers = max(1, poll.handlers or 1)
        lease_us = self._settings.lease_us if poll.lease_ms is None else poll.lease_ms * MS
        seen.lease_us = max(seen.lease_us, lease_us)
        self._most_handlers = max(self._most_handlers, self.handlers(now))
        if seen.latest is None or _is_newer(poll, seen.latest):
            self._asks_anew(seen, poll, now)

    def _asks_anew(self, seen: Seen, poll: Poll, now: int) -> None:
        if not seen.is_answered:
            seen.came_back = True  # what it got may have been taken back, unseen
        if seen.got_leases:
            seen.idle_since_us = now
        seen.latest, seen.is_answered, seen.got_leases = poll, False, False

    def _heard(self, session: SessionKey, now: int) -> Seen:
        seen = self._seen.setdefault(session, Seen(now))
        seen.heard_us = now
        return seen

    def reported(self, session: SessionKey, now: int) -> None:
        if session in self._seen:
            self._heard(session, now)

    def left(self, session: SessionKey) -> None:
        self._seen.pop(session, None)

    def answered(self, poll: Poll, lanes: set[str], now: int) -> None:
        seen = self._heard(session_of(poll), now)
        if seen.latest is None:
            # Its first poll, which made the group, was not seen.
            seen.came_back, seen.handlers = True, max(1, poll.handlers or 1)
        elif _is_same(poll, seen.latest):
            self._was_answered(seen, lanes)

    def _was_answered(self, seen: Seen, lanes: set[str]) -> None:
        seen.is_answered = True
        seen.got_leases = bool(lanes)
        if lanes:
            seen.came_back = lanes != {LIVE}

    def handlers(self, now: int) -> int:
        """At most so many has the broker heard of lately."""
        return sum(
            seen.handlers
            for seen in self._seen.values()
            if not seen.is_answered or now <= seen.heard_us + 2 * seen.lease_us + SLACK_US
        )

    # ---- hand-outs ----------------------------------------------------------------------------

    def check_surplus(self, lease: Lease, leases: Iterable[Lease], now: int, what: str) -> None:
        """Nothing is overdue and live is empty: the idle rules. `leases`: all that may be out."""
        out = sum(_is_held(one, now) for one in leases if one.id in self._surplus)
        self._surplus.add(lease.id)
        handlers, reserve = self.handlers(now), self._settings.reserve
        most = 1 if handlers <= FEW_HANDLERS else max(1, handlers - reserve)
        demand(out < most, f"{what}: {out} deferred leases with {handlers} handlers are out")
        seen = self._seen.get(lease.session)
        if seen is not None and not seen.came_back:
            waited_us = now - seen.idle_since_us
            demand(waited_us >= self._settings.idle_after_us, f"{what}: idle for {waited_us} us")

    def check_guard(self, lease: Lease, now: int, what: str) -> None:
        """Live work waits: one overdue lease at a time, within its share of handler time."""
        self.watch(now)
        held = [one for one in self._guards if _is_held(one, now)]
        demand(not held, f"{what}: another overdue lease is out beside live work")
        self._earn(now)
        demand(self._tokens > 0, f"{what}: its share is overdrawn by {-self._tokens:.0f} us")
        self._guards.append(lease)
        self._guarded_us[lease.id] = 0

    def watch(self, now: int) -> None:
        """Pay for what the guard's leases have taken so far, for certain."""
        for lease in list(self._guards):
            if lease.open:
                took_us = min(now, lease.end_us) - lease.granted_us
                self._tokens -= took_us - self._guarded_us[lease.id]
                self._guarded_us[lease.id] = took_us
            if not _is_held(lease, now):
                self._guards.remove(lease)

    def _earn(self, now: int) -> None:
        since = now if self._since_us is None else self._since_us
        share = self._settings.busy_share_ppm / PPM * self._most_handlers
        full = float(self._settings.drain_slice_us)
        self._tokens = min(full, self._tokens + (now - since) * share)
        self._since_us = now


def _is_same(poll: Poll, other: Poll) -> bool:
    return poll is other or (poll.n is not None and poll.n == other.n)


def _is_newer(poll: Poll, other: Poll) -> bool:
    if poll.n is None or other.n is None:
        return poll is not other
    return poll.n > other.n


def _is_held(lease: Lease, now: int) -> bool:
    return any(not lease.may_end(position, now) for position in lease.open)
