"""The auditor's count of what parked messages take in the state store, and which stay in the log.

Owns two sums. A message that comes from the log is let in only where it fits its lane's limit.
"""

from __future__ import annotations

from collections.abc import Iterable

from laybyd.core.effects import Park, Unpark
from laybyd.core.types import DEAD, DEFERRED, LIVE, Parked
from tests.simulation.audit_log import demand
from tests.simulation.audit_terms import Terms


class ParkedBytes:
    """`_pinned` are the first positions, by lane, of those whose bytes stay in the log."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._used = {DEFERRED: 0, DEAD: 0}
        self._pinned: dict[str, set[int]] = {DEFERRED: set(), DEAD: set()}

    def reopened(self, lane: str, records: Iterable[Parked]) -> None:
        """What the disk says after a start."""
        known = list(records)
        self._used[lane] = sum(map(_bytes, known))
        self._pinned[lane] = {record.first for record in known if record.in_log}

    def parked(self, park: Park, now: int) -> None:
        if park.old is not None:
            self._remove(*park.old)
        self._add(park.lane, park.record)
        if any(piece.lane == LIVE for piece in park.body):
            used, limit = self._used[park.lane], self._limit(park.lane, now)
            demand(used <= limit, f"{park.record} makes {used} of {limit} bytes {park.lane}")

    def _limit(self, lane: str, now: int) -> int:
        limits = (term.settings for term in self._terms.since(now))
        return max(one.deferred_bytes if lane == DEFERRED else one.dead_bytes for one in limits)

    def unparked(self, unpark: Unpark) -> None:
        self._remove(unpark.lane, unpark.record)

    @property
    def pinned(self) -> int | None:
        """The lowest position that the log must keep for what is parked."""
        return min((min(some) for some in self._pinned.values() if some), default=None)

    def _add(self, lane: str, record: Parked) -> None:
        self._used[lane] += _bytes(record)
        if record.in_log:
            self._pinned[lane].add(record.first)

    def _remove(self, lane: str, record: Parked) -> None:
        self._used[lane] -= _bytes(record)
        if record.in_log:
            self._pinned[lane].discard(record.first)


def _bytes(record: Parked) -> int:
    """What stays in the log takes nothing."""
    return 0 if record.in_log else record.size
