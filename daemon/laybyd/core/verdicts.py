"""Which messages a verdict names, and which of them alone.

Owns the reading of a verdict's ranges, which ascend and do not overlap; `[5, 5, 6, 6]` names two
messages, `[5, 6]` a range of several. Must never know leases or lanes.
"""

from __future__ import annotations

from bisect import bisect_left

from laybyd.core.intervals import Range
from laybyd.core.types import Verdict


def named(verdict: Verdict, first: int, last: int) -> list[Range]:
    """The parts of `first .. last` that it names, neighbours each for itself."""
    ranges = verdict.ranges
    at = bisect_left(ranges, first, key=_last)
    found = []
    while at < len(ranges) and ranges[at][0] <= last:
        found.append((max(first, ranges[at][0]), min(last, ranges[at][1])))
        at += 1
    return found


def names_alone(verdict: Verdict, position: int) -> bool:
    at = bisect_left(verdict.ranges, position, key=_last)
    return at < len(verdict.ranges) and verdict.ranges[at] == (position, position)


def _last(one: Range) -> int:
    return one[1]
