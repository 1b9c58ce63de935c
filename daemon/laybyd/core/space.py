"""Whether there is room: what the stores have said last.

Owns the flags. Must never know who said so or what follows from it.
"""

from __future__ import annotations


class Space:
    """Whether the two stores take more bytes; shared by all groups. `state_spent`: there is no room
    for the records of what may fail."""

    __slots__ = ("log_full", "state_full", "state_spent")

    def __init__(self) -> None:
        self.log_full = False
        self.state_full = False
        self.state_spent = False
