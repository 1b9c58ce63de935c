"""Percentiles, and the numbers a run is judged by.

Owns nothing but the arithmetic. Must never know what was measured.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that `share` of an ordered sequence do not exceed; nan of nothing."""
    if not ordered:
        return math.nan
    return ordered[min(len(ordered), max(1, math.ceil(len(ordered) * share))) - 1]


class Latency(NamedTuple):
    """Milliseconds."""

    messages: int
    p50: float
    p99: float
    p999: float
    worst: float

    def __str__(self) -> str:
        return f"p50 {self.p50:.2f}  p99 {self.p99:.2f}  max {self.worst:.1f} ms"


def latency(waits_us: Iterable[float]) -> Latency:
    ordered = sorted(wait / 1000 for wait in waits_us)
    worst = ordered[-1] if ordered else math.nan
    shares = [percentile(ordered, share) for share in (0.5, 0.99, 0.999)]
    return Latency(len(ordered), shares[0], shares[1], shares[2], worst)
