"""What the log must keep, and for whom.

Owns when to ask for a trim, and the sentence that names what pins the log. Must never know where
the log lies: a position below every committed floor is all it says.
"""

from __future__ import annotations

from collections.abc import Iterable

from laybyd.core.group import Group
from laybyd.core.settings import SECOND
from laybyd.core.topics import Topics

PACE_US = SECOND


class Trimmer:
    def __init__(self, log_start: int, now: int) -> None:
        self.asked = log_start
        self.pins = ""
        self._last = now - PACE_US
        self._at: int | None = None

    @property
    def next_at(self) -> int | None:
        return self._at

    def touch(self, now: int) -> None:
        """What is needed may have changed."""
        if self._at is None:
            self._at = max(now, self._last + PACE_US)

    def look(self, groups: Iterable[Group], topics: Topics, log_end: int, now: int) -> int | None:
        """The position to trim below, if it has risen."""
        self._at = None
        self._last = now
        need, self.pins = log_end, ""
        for group in groups:
            if group.parts.journal.need < need:
                need = group.parts.journal.need
                self.pins = f"group {group.record.name} needs the log from {need}"
        for topic in topics:
            if not topic.groups and topic.first < need:
                need = topic.first
                self.pins = f"topic {topic.name} is kept from {need}: no group reads it"
        if need <= self.asked:
            return None
        self.asked = need
        return need
