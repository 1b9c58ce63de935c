"""Figures of a measurement: one run, several runs, their median.

Owns the arithmetic and the keys. Must never know how a figure came about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

KEYS = ("messages_per_s", "mb_per_s", "p50_ms", "p99_ms")


class Measured(NamedTuple):
    """One run: how many messages in how long, single times in seconds, and further rates."""

    messages: int
    seconds: float
    times: Sequence[float]
    extra: Mapping[str, float] = {}


def percentile(times: Sequence[float], percent: float) -> float:
    """The smallest time that `percent` of all do not exceed; 0 of nothing."""
    if not times:
        return 0.0
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def figures(run: Measured, size: int) -> dict[str, float]:
    rate = run.messages / run.seconds if run.seconds else 0.0
    return {
        "messages": run.messages,
        "seconds": round(run.seconds, 3),
        "messages_per_s": round(rate),
        "mb_per_s": round(rate * size / 1e6, 2),
        "p50_ms": round(percentile(run.times, 50) * 1e3, 3),
        "p99_ms": round(percentile(run.times, 99) * 1e3, 3),
        **{name: round(value) for name, value in run.extra.items()},
    }


def medians(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of each figure on its own, but for what merely counts."""
    names = [name for name in runs[0] if name not in ("messages", "seconds")]
    return {name: _median([run[name] for run in runs]) for name in names}


def _median(values: Sequence[float]) -> float:
    """Whole numbers stay whole."""
    middle = median(values)
    return round(middle) if all(isinstance(value, int) for value in values) else round(middle, 3)
