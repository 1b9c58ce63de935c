"""The auditor's opinion of how much one answer hands out: about a slice of work, where known.

Owns what the broker may have measured of each consumer, as a lower bound: the auditor knows when an
answer left and an outcome came, but not how many handlers were at work, nor always which outcomes
counted. Must never know who gets work, only how much of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from laybyd.core.effects import Grant
from laybyd.core.events import Poll
from laybyd.core.types import LIVE
from tests.simulation.audit_answer import positions_of
from tests.simulation.audit_leases import Lease, SessionKey, session_of
from tests.simulation.audit_log import demand
from tests.simulation.audit_terms import Terms
from tests.simulation.world import MS

WEIGHT = 0.2
"""Of a new measurement among the old ones."""

WAY_SLICES = 16
"""One lease, by the broker's measure, lasts no longer than so many slices, whatever it was told."""

ANYTHING = 0.0
"""Measured perhaps, but nobody knows what."""

Work = tuple[Lease, bool]
"""A message with an outcome: in which lease it was, and whether the outcome counts for certain."""


class Pace:
    """Microseconds of a message, at least, at any time; None: surely never measured."""

    def __init__(self) -> None:
        self._known: list[tuple[int, float | None]] = [(0, None)]

    def measured(self, least_us: float, surely: bool, now: int) -> None:
        before = self._known[-1][1]
        if before is None:
            after = least_us if surely else ANYTHING
        else:
            after = before + WEIGHT * (least_us - before)
            after = after if surely else min(after, before)
        self._known.append((now, after))

    def forgotten(self, now: int) -> None:
        """Perhaps."""
        self._known.append((now, ANYTHING))

    def since(self, us: int) -> list[float | None]:
        """All that it was since then."""
        at = len(self._known) - 1
        while self._known[at][0] >= us and at:
            at -= 1
        return [low for _, low in self._known[at:]]


class Seen:
    def __init__(self, now: int) -> None:
        self.pace = Pace()
        self.handlers = 1
        self.heard_us = self.answered_us = now
        self.settled_us = 0
        self.told_live_us: int | None = None
        self.told_deferred_us: int | None = None

    def asks(self, poll: Poll) -> None:
        self.handlers = max(self.handlers, poll.handlers or 1)
        self.told_live_us = _least(self.told_live_us, poll.live_us)
        self.told_deferred_us = _least(self.told_deferred_us, poll.deferred_us)


class ShareBook:
    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._seen: dict[SessionKey, Seen] = {}
        self._deferred = Pace()
        self._since_us: dict[bytes, int] = {}

    # ---- what the broker hears ----------------------------------------------------------------

    def polled(self, poll: Poll, now: int) -> None:
        seen = self._seen.setdefault(session_of(poll), Seen(now))
        lease_us = self._terms.now.settings.lease_us
        if poll.lease_ms is not None:
            lease_us = min(lease_us, poll.lease_ms * MS)
        if now - seen.heard_us > lease_us // 2:
            seen.pace.forgotten(now)
        seen.heard_us = now
        seen.asks(poll)

    def left(self, session: SessionKey, now: int) -> None:
        if session in self._seen:
            self._seen[session].pace.forgotten(now)

    def settled(self, work: Sequence[Work], now: int) -> None:
        """The outcomes of one request."""
        for session in {lease.session for lease, _ in work}:
            self._measured(session, [one for one in work if one[0].session == session], now)

    def _measured(self, session: SessionKey, work: Sequence[Work], now: int) -> None:
        seen = self._seen.setdefault(session, Seen(now))
        begun = [self._since_us.get(lease.id, now) for lease, is_sure in work if is_sure]
        since = max(min(begun, default=now), seen.settled_us)
        least_us = max(1, now - since) / len(work)
        seen.settled_us = now
        for is_live, pace in ((True, seen.pace), (False, self._deferred)):
            sure = [is_sure for lease, is_sure in work if (lease.lane == LIVE) == is_live]
            if sure:
                pace.measured(least_us, any(sure), now)

    # ---- what it hands out --------------------------------------------------------------------

    def check(self, fresh: Sequence[Grant], poll: Poll, asked_us: int, what: str) -> None:
        seen = self._seen.setdefault(session_of(poll), Seen(asked_us))
        since = min(seen.answered_us, asked_us)
        settings = [term.settings for term in self._terms.since(since)]
        live = [grant for grant in fresh if grant.lane == LIVE]
        if live:
            slice_us = max(one.live_slice_us for one in settings) * seen.handlers
            most = _most(seen.pace.since(since), math.inf, slice_us, seen.told_live_us)
            messages = sum(1 for grant in live for _ in positions_of(grant))
            demand(messages <= most, f"{what}: {messages} messages where {most} are a slice")
        for grant in fresh:
            if grant.lane != LIVE:
                slice_us = max(one.drain_slice_us for one in settings)
                most = _most(self._deferred.since(since), 1, slice_us, seen.told_deferred_us)
                records = len(grant.pieces)
                demand(records <= most, f"{what}: {records} records where {most} are a slice")

    def answered(self, poll: Poll, leases: Iterable[bytes], now: int) -> None:
        self._seen.setdefault(session_of(poll), Seen(now)).answered_us = now
        self.begun(leases, now)

    def begun(self, leases: Iterable[bytes], now: int) -> None:
        """Work on them begins now, at the latest, as the broker reckons."""
        self._since_us.update(dict.fromkeys(leases, now))


def _most(
    lows: Iterable[float | None], unmeasured: float, slice_us: int, told_us: int | None
) -> float:
    return max(unmeasured if low is None else in_a_slice(slice_us, low, told_us) for low in lows)


def in_a_slice(slice_us: int, low_us: float, told_us: int | None) -> float:
    if low_us == ANYTHING:
        return math.inf
    fitting = slice_us / max(1.0, low_us)
    if told_us is not None:
        believed = slice_us / 4 / max(1, told_us)
        fitting = max(fitting, min(believed, WAY_SLICES * fitting))
    return max(1, round(fitting))


def _least(before: int | None, told: int | None) -> int | None:
    return told if before is None else before if told is None else min(before, told)
