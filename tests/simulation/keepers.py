"""Operators who delete groups and make them again, while the groups' consumers go on.

Owns the requests that make and end groups. What a group reads stays what its consumers ask for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from laybyd.core.events import Operate
from tests.simulation.client import NOBODY, Client
from tests.simulation.network import Network
from tests.simulation.operators import PATIENCE_US
from tests.simulation.world import SECOND, World

POSITION_MAX = 200


class Keeper(Client):
    def __init__(
        self,
        world: World,
        network: Network,
        name: str,
        topics: Mapping[str, tuple[str, ...]],
        gap_us: int,
        by_time: bool,
    ) -> None:
        super().__init__(world, network, name)
        self._topics = topics
        self._gap_us = gap_us
        self._by_time = by_time
        self.stopped = False
        self._rest()

    def work(self) -> None:
        """Delete a group; whoever polls first makes it anew, or it is made as is asked here. Now
        and then it is made while it is there, or on the heels of its end."""
        if self.stopped or not self._topics:
            return
        group = self.world.random.choice(sorted(self._topics))
        if self.world.chance(0.2):
            self._make(group)
            return
        delete = Operate(NOBODY, "group_delete", {"group": group})
        if self.world.chance(0.3):
            self.tell(delete)
            self._make(group)
            return
        self.ask(delete, PATIENCE_US, lambda answer: self._deleted(group), self._rest)

    def _rest(self) -> None:
        self.later(self.world.pause(self._gap_us), self.work)

    def _deleted(self, group: str) -> None:
        if self.world.chance(0.5) and not self.stopped:
            self._make(group)
        else:
            self._rest()

    def _make(self, group: str) -> None:
        args = {"group": group, "topics": self._topics[group], **self._start()}
        create = Operate(NOBODY, "group_create", args)
        self.ask(create, PATIENCE_US, lambda answer: self._rest(), self._rest)

    def _start(self) -> dict[str, Any]:
        positions = (1, self.world.between(1, POSITION_MAX))
        start = self.world.random.choice((None, "earliest", "latest", *positions))
        if self._by_time and self.world.chance(0.5):
            around = self.world.pause(SECOND) - self.world.pause(5 * SECOND)
            return {"start": None, "start_us": self.world.now + around}
        return {} if start is None else {"start": start, "start_us": None}
