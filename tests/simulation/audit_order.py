"""The auditor's opinion of the order in which live goes out for the first time in a boot.

Owns what went out first in which grant. Must never know to whom, nor what became of it.
"""

from __future__ import annotations

from bisect import bisect_left

from laybyd.core.effects import Grant
from tests.simulation.audit_answer import brief
from tests.simulation.audit_log import demand


class FirstOrder:
    """`last` is the highest position that ever went out."""

    def __init__(self) -> None:
        self.last = 0
        self._known: list[tuple[int, int, int]] = []

    def check(self, grant: Grant, firsts: list[int]) -> None:
        """By the numbers of the grants: an answer may have had to wait for a commit."""
        entry = (grant.number, firsts[0], firsts[-1])
        at = bisect_left(self._known, entry)
        if at:
            number, _, last = self._known[at - 1]
            demand(
                number < grant.number and last < firsts[0],
                f"{brief(grant)} after {last} in {number}",
            )
        if at < len(self._known):
            number, first, _ = self._known[at]
            demand(
                grant.number < number and firsts[-1] < first,
                f"{brief(grant)} but {first} in {number}",
            )
        self._known.insert(at, entry)
        self.last = max(self.last, firsts[-1])
