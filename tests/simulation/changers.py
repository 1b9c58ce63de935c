"""Operators who delete topics, and who change what a group reads and how it is treated.

Owns these requests. They ask while everybody goes on: a topic is pushed to again, a group's
consumers find out by what they are refused.
"""

from __future__ import annotations

from typing import Any

from laybyd.core.events import Operate
from laybyd.core.settings import MINUTE, GroupSettings
from tests.simulation.client import NOBODY, Client
from tests.simulation.network import Network
from tests.simulation.operators import PATIENCE_US
from tests.simulation.world import MS, SECOND, World

UNKNOWN = "none.0"

CHOICES: dict[str, tuple[Any, ...]] = {
    "lease_us": (500 * MS, 2 * SECOND, 10 * SECOND),
    "max_handling_us": (500 * MS, 2 * SECOND, 10 * SECOND),
    "backoff_us": ((0,), (200 * MS, SECOND), (SECOND, 10 * SECOND, MINUTE)),
    "max_attempts": (1, 2, 3, 6),
    "live_slice_us": (MS, 50 * MS, SECOND),
    "idle_after_us": (0, 5 * MS, 100 * MS),
    "max_wait_us": (SECOND, 10 * SECOND, 10 * MINUTE),
    "reserve": (0, 1),
    "max_out": (1, 5, 50, 1_000_000),
    "leases_per_session": (1, 3, 64),
    "deferred_bytes": (100, 5_000, 1 << 30),
    "dead_bytes": (100, 1 << 30),
}
"""What is changed, and to what."""

OUT = ("leases_per_session", "max_out")

MOST = 3
"""So many settings at once."""


class Remover(Client):
    """Deletes topics, now and then one that never was, or looks at what there is."""

    def __init__(
        self, world: World, network: Network, name: str, topics: tuple[str, ...], gap_us: int
    ) -> None:
        super().__init__(world, network, name)
        self._topics = topics
        self._gap_us = gap_us
        self.stopped = False
        self._rest()

    def work(self) -> None:
        if self.stopped:
            return
        if self.world.chance(0.2):
            self.ask(
                Operate(NOBODY, "topics", {}), PATIENCE_US, lambda answer: self._rest(), self._rest
            )
            return
        topic = UNKNOWN if self.world.chance(0.1) else self.world.random.choice(self._topics)
        delete = Operate(NOBODY, "topic_delete", {"topic": topic})
        self.ask(delete, PATIENCE_US, lambda answer: self._rest(), self._rest)

    def _rest(self) -> None:
        self.later(self.world.pause(self._gap_us), self.work)


class Changer(Client):
    """Gives a group another subscription, other settings, or both."""

    def __init__(
        self,
        world: World,
        network: Network,
        name: str,
        groups: list[str],
        topics: tuple[str, ...],
        gap_us: int,
    ) -> None:
        super().__init__(world, network, name)
        self._groups = groups
        self._gap_us = gap_us
        self._subscriptions = (("*",), ("app.*",), (topics[0],), (topics[-1], "none.*"))
        self.stopped = False
        self._rest()

    def work(self) -> None:
        if self.stopped:
            return
        args: dict[str, Any] = {"group": self.world.random.choice(self._groups)}
        if self.world.chance(0.6):
            args["topics"] = self.world.random.choice(self._subscriptions)
        if self.world.chance(0.6):
            args["settings"] = self._settings()
        change = Operate(NOBODY, "group_set", args)
        self.ask(change, PATIENCE_US, lambda answer: self._rest(), self._rest)

    def _settings(self) -> dict[str, Any]:
        """Some of all; or how much may be out, which meets those who hold something or wait."""
        if self.world.chance(0.3):
            names = list(OUT)
        else:
            names = self.world.random.sample(sorted(CHOICES), self.world.between(1, MOST))
        return {one: self.world.random.choice(CHOICES[one]) for one in names}

    def _rest(self) -> None:
        self.later(self.world.pause(self._gap_us), self.work)


def shortest_wait_us(usual: GroupSettings) -> int:
    """The shortest `max_wait` that a group may be given."""
    return min(usual.max_wait_us, *CHOICES["max_wait_us"])
