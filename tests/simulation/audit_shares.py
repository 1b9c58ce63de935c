"""The auditor's opinion of how much one answer hands out: about a slice of work, where known.

Owns what the broker may have measured of each consumer, as a lower bound: the auditor knows when an
answer left and an outcome came, but not how many handlers were at work, nor always which outcomes
counted. Must never know who gets work, only how much of it.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

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
    """Microseconds of a message, at least, one measurement after the other; None: surely never
    measured."""

    def __init__(self) -> None:
        self._known: list[float | None] = [None]

    @property
    def number(self) -> int:
        """Of the last measurement."""
        return len(self._known) - 1

    def measured(self, least_us: float, surely: bool) -> None:
        before = self._known[-1]
        if before is None:
            after = least_us if surely else ANYTHING
        else:
            after = before + WEIGHT * (least_us - before)
            after = after if surely else min(after, before)
        self._known.append(after)

    def forgotten(self) -> None:
        """Perhaps."""
        self._known.append(ANYTHING)

    def since(self, number: int) -> list[float | None]:
        """That one and all after it."""
        return self._known[number:]


class Asked(NamedTuple):
    """When a poll came first, and what had been measured by then."""

    us: int
    live: int
    deferred: int


class Seen:
    def __init__(self, now: int) -> None:
        self.pace = Pace()
        self.lease_us = 0
        self.heard_us = now
        self.settled_us = 0
        self.asked: dict[Hashable, Asked] = {}


class ShareBook:
    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._seen: dict[SessionKey, Seen] = {}
        self._deferred = Pace()
        self._since_us: dict[bytes, int] = {}

    # ---- what the broker hears ----------------------------------------------------------------

    def polled(self, poll: Poll, now: int) -> None:
        seen = self._seen.setdefault(session_of(poll), Seen(now))
        before_us, seen.lease_us = seen.lease_us, self._terms.now.settings.lease_us
        if poll.lease_ms is not None:
            seen.lease_us = min(seen.lease_us, poll.lease_ms * MS)
        if now - seen.heard_us > min(before_us, seen.lease_us) // 2:
            seen.pace.forgotten()
        seen.heard_us = now
        seen.asked.setdefault(_name(poll), Asked(now, seen.pace.number, self._deferred.number))

    def left(self, session: SessionKey) -> None:
        if session in self._seen:
            self._seen[session].pace.forgotten()

    def settled(self, work: Sequence[Work], now: int) -> None:
        """The outcomes of one request."""
        sessions = dict.fromkeys(lease.session for lease, _ in work)
        for session in sessions:
            of_it = [one for one in work if one[0].session == session]
            self._measured(self._seen[session], of_it, len(sessions) == 1, now)

    def _measured(self, seen: Seen, work: Sequence[Work], alone: bool, now: int) -> None:
        """`alone`: no other session's outcomes were in that request, which may have been measured
        before or after these."""
        begun = [self._since_us[lease.id] for lease, is_sure in work if is_sure]
        since = max(min(begun, default=now), seen.settled_us)
        least_us = max(1, now - since) / len(work)
        seen.settled_us = now
        live = [is_sure for lease, is_sure in work if lease.lane == LIVE]
        deferred = [is_sure for lease, is_sure in work if lease.lane != LIVE]
        if live:
            seen.pace.measured(least_us, any(live))
        if deferred:
            self._deferred.measured(least_us, any(deferred) and alone)

    # ---- what it hands out --------------------------------------------------------------------

    def check(self, fresh: Sequence[Grant], poll: Poll, what: str) -> None:
        seen = self._seen[session_of(poll)]
        asked = seen.asked[_name(poll)]
        settings = [term.settings for term in self._terms.since(asked.us)]
        live = [grant for grant in fresh if grant.lane == LIVE]
        if live:
            slice_us = max(one.live_slice_us for one in settings) * max(1, poll.handlers or 1)
            most = _most(seen.pace.since(asked.live), math.inf, slice_us, poll.live_us)
            messages = sum(1 for grant in live for _ in positions_of(grant))
            demand(messages <= most, f"{what}: {messages} messages where {most} are a slice")
        for grant in fresh:
            if grant.lane != LIVE:
                slice_us = max(one.drain_slice_us for one in settings)
                most = _most(self._deferred.since(asked.deferred), 1, slice_us, poll.deferred_us)
                records = len(grant.pieces)
                demand(records <= most, f"{what}: {records} records where {most} are a slice")

    def begun(self, leases: Iterable[bytes], now: int) -> None:
        """Work on them begins now, at the latest, as the broker reckons."""
        self._since_us.update(dict.fromkeys(leases, now))


def _name(poll: Poll) -> Hashable:
    """Of its answer: the same number again is the same poll."""
    return poll.n if poll.n is not None else (poll.caller.peer, poll.caller.id)


def _most(
    lows: Iterable[float | None], unmeasured: float, slice_us: int, told_us: int | None
) -> float:
    return max(unmeasured if low is None else _in_a_slice(slice_us, low, told_us) for low in lows)


def _in_a_slice(slice_us: int, low_us: float, told_us: int | None) -> float:
    if low_us == ANYTHING:
        return math.inf
    fitting = slice_us / max(1.0, low_us)
    if told_us is not None:
        believed = slice_us / 4 / max(1, told_us)
        fitting = max(fitting, min(believed, WAY_SLICES * fitting))
    return max(1, round(fitting))
