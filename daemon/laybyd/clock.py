"""The daemon's only reader of time.

Owns the two clocks of the machine and layby time made of them. Must never know who asks.
Everything else takes `now` as an argument, which is what lets a simulator run days in seconds.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def monotonic_us() -> int:
    """Microseconds since some fixed moment; never goes back, says nothing about the date."""
    return time.monotonic_ns() // 1_000


def wall_us() -> int:
    """Microseconds since 1970; may jump either way when somebody sets the clock."""
    return time.time_ns() // 1_000


class LaybyClock:
    """Layby time: what the wall said at the start, then only monotonic.

    It never goes back within a boot, and never starts before `last_us`, the last time that was
    recorded in the store: a machine that woke up in 1970 must not append into the past.
    """

    def __init__(
        self,
        last_us: int = 0,
        *,
        wall: Callable[[], int] = wall_us,
        monotonic: Callable[[], int] = monotonic_us,
    ) -> None:
        self._monotonic = monotonic
        self._offset_us = max(wall(), last_us) - monotonic()

    def now_us(self) -> int:
        return self._monotonic() + self._offset_us
