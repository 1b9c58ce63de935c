"""The auditor's count of what parked messages take in the state store.

Owns two sums. A message that comes from the log is let in only where it fits its lane's limit.
"""

from __future__ import annotations

from collections.abc import Iterable

from laybyd.core.effects import Park, Unpark
from laybyd.core.settings import GroupSettings
from laybyd.core.types import DEAD, DEFERRED, LIVE, Parked
from tests.simulation.audit_log import demand


class ParkedBytes:
    def __init__(self, settings: GroupSettings) -> None:
        self._limits = {DEFERRED: settings.deferred_bytes, DEAD: settings.dead_bytes}
        self._used = {DEFERRED: 0, DEAD: 0}

    def reopened(self, lane: str, records: Iterable[Parked]) -> None:
        """What the disk says after a start."""
        self._used[lane] = sum(map(_bytes, records))

    def parked(self, park: Park) -> None:
        if park.old is not None:
            self._add(park.old[0], -_bytes(park.old[1]))
        self._add(park.lane, _bytes(park.record))
        if any(piece.lane == LIVE for piece in park.body):
            used, limit = self._used[park.lane], self._limits[park.lane]
            demand(used <= limit, f"{park.record} makes {used} of {limit} bytes {park.lane}")

    def unparked(self, unpark: Unpark) -> None:
        self._add(unpark.lane, -_bytes(unpark.record))

    def _add(self, lane: str, size: int) -> None:
        self._used[lane] += size


def _bytes(record: Parked) -> int:
    """What stays in the log takes nothing."""
    return 0 if record.in_log else record.size
