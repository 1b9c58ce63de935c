"""How fast this machine is at the moment: what bounds on processor time are scaled by.

Owns a fixed piece of work and what it took where the bounds were set. Must never know what is
bounded. Processor time alone does not do: of two threads that share a core each gets half of it.
"""

from __future__ import annotations

import time

WORK_NS = 470_000
"""Where the slowest step known takes 5.2 ms, which is where the bounds were set. (Inferred from a
machine on which the step takes 8.7 ms and this 790,000.)"""

TIMES = 5
SLOWEST = 4.0


def slowness() -> float:
    """How many times as long as there the same work takes here; at least 1, and SLOWEST at most:
    what is slower still is no machine to judge by."""
    return min(max(1.0, min(_timed() for _ in range(TIMES)) / WORK_NS), SLOWEST)


def _timed() -> int:
    began = time.thread_time_ns()
    _work()
    return time.thread_time_ns() - began


def _work() -> int:
    """Small objects, looked up and taken apart: what a step is made of."""
    table: dict[tuple[int, bytes], list[int]] = {}
    for number in range(2_000):
        key = (number % 97, b"%d" % (number % 89))
        table.setdefault(key, []).append(number)
    return sum(len(one) for one in sorted(table.values()))
