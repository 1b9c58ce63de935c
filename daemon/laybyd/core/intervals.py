"""Sets of positions as ranges, and things that lie on ranges.

Owns the arithmetic of `first .. last`, both included. Must never know what a position stands for.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from typing import Generic, Protocol, TypeVar

Range = tuple[int, int]


class RangeSet:
    """Positions as sorted ranges that neither overlap nor touch."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in ranges:
            self.add(first, last)

    def __bool__(self) -> bool:
        return bool(self._firsts)

    def __len__(self) -> int:
        """How many ranges, not how many positions."""
        return len(self._firsts)

    def __iter__(self) -> Iterator[Range]:
        return zip(self._firsts, self._lasts, strict=True)

    def __contains__(self, position: int) -> bool:
        at = bisect_left(self._lasts, position)
        return at < len(self._firsts) and self._firsts[at] <= position

    @property
    def first(self) -> int:
        return self._firsts[0]

    @property
    def last(self) -> int:
        return self._lasts[-1]

    def measure(self) -> int:
        """How many positions."""
        return sum(self._lasts) - sum(self._firsts) + len(self._firsts)

    def add(self, first: int, last: int) -> None:
        if not self._lasts or first > self._lasts[-1] + 1:
            self._firsts.append(first)
            self._lasts.append(last)
            return
        low = bisect_left(self._lasts, first - 1)
        high = bisect_right(self._firsts, last + 1)
        if low < high:
            first = min(first, self._firsts[low])
            last = max(last, self._lasts[high - 1])
        self._firsts[low:high] = [first]
        self._lasts[low:high] = [last]

    def remove(self, first: int, last: int) -> None:
        low = bisect_left(self._lasts, first)
        high = bisect_right(self._firsts, last)
        if low >= high:
            return
        kept = []
        if self._firsts[low] < first:
            kept.append((self._firsts[low], first - 1))
        if self._lasts[high - 1] > last:
            kept.append((last + 1, self._lasts[high - 1]))
        self._firsts[low:high] = [one[0] for one in kept]
        self._lasts[low:high] = [one[1] for one in kept]

    def pop_first(self) -> Range:
        return self._firsts.pop(0), self._lasts.pop(0)

    def covers(self, first: int, last: int) -> bool:
        at = bisect_left(self._lasts, last)
        return at < len(self._firsts) and self._firsts[at] <= first

    def overlap(self, first: int, last: int) -> list[Range]:
        """The parts of `first .. last` that are in the set."""
        low = bisect_left(self._lasts, first)
        if low == len(self._firsts) or self._firsts[low] > last:
            return []
        if self._lasts[low] >= last:
            return [(max(first, self._firsts[low]), last)]
        high = bisect_right(self._firsts, last)
        return [
            (max(first, self._firsts[at]), min(last, self._lasts[at])) for at in range(low, high)
        ]

    def gaps(self, first: int, last: int) -> list[Range]:
        """The parts of `first .. last` that are not in the set."""
        found = []
        for low, high in self.overlap(first, last):
            if first < low:
                found.append((first, low - 1))
            first = high + 1
        if first <= last:
            found.append((first, last))
        return found

    def next_gap(self, first: int, last: int) -> Range | None:
        """The first run of `first .. last` that is not in the set."""
        at = bisect_left(self._lasts, first)
        if at < len(self._firsts) and self._firsts[at] <= first:
            first = self._lasts[at] + 1
            at += 1
        if at < len(self._firsts):
            last = min(last, self._firsts[at] - 1)
        return (first, last) if first <= last else None


class Ranged(Protocol):
    @property
    def first(self) -> int: ...
    @property
    def last(self) -> int: ...


T = TypeVar("T", bound=Ranged)


class ByPosition(Generic[T]):
    """Things on ranges that do not overlap, found by position, iterated in its order."""

    __slots__ = ("_at", "_firsts")

    def __init__(self, things: Iterable[T] = ()) -> None:
        self._firsts: list[int] = []
        self._at: dict[int, T] = {}
        for thing in things:
            self.add(thing)

    def __len__(self) -> int:
        return len(self._firsts)

    def __iter__(self) -> Iterator[T]:
        return (self._at[first] for first in list(self._firsts))

    def add(self, thing: T) -> None:
        assert thing.first not in self._at, "two things at one position"
        if self._firsts and thing.first < self._firsts[-1]:
            insort(self._firsts, thing.first)
        else:
            self._firsts.append(thing.first)
        self._at[thing.first] = thing

    def get(self, first: int) -> T | None:
        return self._at.get(first)

    def pop(self, first: int) -> T | None:
        thing = self._at.pop(first, None)
        if thing is not None:
            del self._firsts[bisect_left(self._firsts, first)]
        return thing

    def nth(self, number: int) -> T:
        return self._at[self._firsts[number]]

    def overlap(self, first: int, last: int) -> list[T]:
        """The things that touch `first .. last`, whole."""
        if not self._firsts:
            return []
        at = bisect_right(self._firsts, first)
        if at and self._at[self._firsts[at - 1]].last >= first:
            at -= 1
        found = []
        while at < len(self._firsts) and self._firsts[at] <= last:
            found.append(self._at[self._firsts[at]])
            at += 1
        return found
