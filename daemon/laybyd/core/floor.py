"""Which positions a group is done with: all below the floor, and ranges above it.

Owns the floor. "Done" means settled, or moved to the state store (deferred and dead messages), or
never wanted. Must never know why a position is done.
"""

from __future__ import annotations

from collections.abc import Iterable

from laybyd.core.intervals import Range, RangeSet


class Floor:
    __slots__ = ("done", "position")

    def __init__(self, position: int, done: Iterable[Range] = ()) -> None:
        self.position = position
        self.done = RangeSet()
        for first, last in done:
            self.settle(first, last)

    def settle(self, first: int, last: int) -> None:
        if last < self.position:
            return
        self.done.add(max(first, self.position), last)
        if self.done.first <= self.position:
            self.position = self.done.pop_first()[1] + 1

    def next_open(self, first: int, last: int) -> Range | None:
        """The first run of `first .. last` that is not done."""
        first = max(first, self.position)
        if not self.done or self.done.last < first:
            return (first, last) if first <= last else None
        return self.done.next_gap(first, last)

    def open_in(self, first: int, last: int) -> list[Range]:
        first = max(first, self.position)
        return self.done.gaps(first, last) if first <= last else []

    def done_in(self, first: int, last: int) -> list[Range]:
        below = [(first, min(last, self.position - 1))] if first < self.position else []
        return below + self.done.overlap(max(first, self.position), last)
