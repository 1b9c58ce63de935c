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
        self.pins = ""
        self._asked = log_start
        self._start = log_start
        self._under_way = 0
        self._awaited = 0
        self._durable = 0
        self._last = now - PACE_US
        self._at: int | None = None

    @property
    def next_at(self) -> int | None:
        return self._at

    @property
    def earliest(self) -> int:
        """From here on the log is surely there for whoever begins to read now. More may be there
        than anybody needs: the log is freed by whole segments."""
        return self._asked if self._under_way else self._start

    def trimmed(self, start: int) -> None:
        self._under_way -= 1
        self._start = start

    def touch(self, now: int) -> None:
        """What is needed may have changed."""
        if self._at is None:
            self._at = max(now, self._last + PACE_US)

    def wait_for(self, commit: int) -> None:
        """What is needed changes with this commit: nothing is given up before it is durable."""
        self._awaited = commit

    def committed(self, commit: int, now: int) -> None:
        self._durable = commit
        if commit == self._awaited:
            self.touch(now)

    def look(
        self, groups: Iterable[Group], topics: Topics, log_end: int, now: int, full: bool
    ) -> int | None:
        """The position to trim below, if it has risen, or if the log is full: then the store
        gives up even what it would rather keep."""
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
        has_risen = need > self._asked or (full and need > self._start)
        if not has_risen or self._durable < self._awaited:
            return None
        self._asked = need
        self._under_way += 1
        return need
