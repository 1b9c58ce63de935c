"""A simulated thread of the broker: does a step after a while, reports in order.

Owns pace. Knows nothing of what is done.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from laybyd.core.events import Event
from tests.simulation.world import World


class Process(Protocol):
    """What a thread lives in: a call made through it is lost when the process dies."""

    world: World

    @property
    def now(self) -> int: ...

    def hazard(self) -> None: ...

    def later(self, delay_us: int, call: Callable[..., None], *args: object) -> None: ...

    def receive(self, events: list[Event]) -> None: ...


class Worker:
    def __init__(self, process: Process, mean_us: float) -> None:
        self._process = process
        self._mean_us = mean_us
        self._ready = 0

    @property
    def now(self) -> int:
        """By the clock on the wall, as the process sees it."""
        return self._process.now

    def soon(self, call: Callable[..., None], *args: object, share: float = 1.0) -> None:
        self._process.later(self._process.world.pause(share * self._mean_us), call, *args)

    def report(self, events: list[Event]) -> None:
        """Reports of one thread keep their order, and lag behind what they report: the process
        may die between the two."""
        self._process.hazard()
        lag = self._process.world.pause(self._mean_us / 4)
        self._ready = max(self._ready, self.now + lag)
        self._process.later(self._ready - self.now, self._process.receive, events)
