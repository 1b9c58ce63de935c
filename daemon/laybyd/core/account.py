"""What a group keeps beside the log: how many deferred and dead messages, and what pins the log.

Owns the counters that are committed with every change of a parked record. Must never know the
records themselves.
"""

from __future__ import annotations

from laybyd.core import effects
from laybyd.core.intervals import RangeSet
from laybyd.core.types import DEAD, GroupState, Parked


class Account:
    __slots__ = ("changed", "messages", "pinned", "size")

    def __init__(self, state: GroupState) -> None:
        self.messages = {"deferred": state.deferred, "dead": state.dead}
        self.size = {"deferred": state.deferred_bytes, "dead": state.dead_bytes}
        self.pinned = RangeSet(state.pinned)
        self.changed = False

    @property
    def deferred(self) -> int:
        return self.messages["deferred"]

    @property
    def dead(self) -> int:
        return self.messages[DEAD]

    def add(self, lane: str, record: Parked) -> None:
        self.changed = True
        self.messages[lane] += record.messages
        if record.in_log:
            self.pinned.add(record.first, record.last)
        else:
            self.size[lane] += record.size

    def remove(self, lane: str, record: Parked) -> None:
        self.changed = True
        self.messages[lane] -= record.messages
        if record.in_log:
            self.pinned.remove(record.first, record.last)
        else:
            self.size[lane] = max(0, self.size[lane] - record.size)

    def need(self, floor: int) -> int:
        """The lowest position of the log that the group still needs."""
        return min(floor, self.pinned.first) if self.pinned else floor

    def op(self, gid: int) -> effects.Account:
        return effects.Account(
            gid,
            self.messages["deferred"],
            self.size["deferred"],
            self.messages["dead"],
            self.size["dead"],
        )
