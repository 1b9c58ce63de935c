"""Whether there is room: what the stores have said last.

Owns the flags. Must never know who said so or what follows from it.
"""

from __future__ import annotations

from laybyd.core import events


class Space:
    """Whether the two stores take more bytes; shared by producers and all groups. `state_spent`:
    there is no room for the records of what may fail; `disk_full`: it is the log's disk."""

    __slots__ = ("disk_full", "log_full", "state_full", "state_spent")

    def __init__(self) -> None:
        self.disk_full = self.log_full = self.state_full = self.state_spent = False

    def hear(self, event: events.Space) -> None:
        self.disk_full, self.log_full = event.disk_full, event.log_full
        self.state_full, self.state_spent = event.state_full, event.state_spent
