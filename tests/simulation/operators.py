"""Operators who look at what is parked, open it again and drop it; and readers without a group.

Owns requests of level 3 and `read`. They ask at any time, also for what is being handled.
"""

from __future__ import annotations

from typing import Any

from laybyd.core.effects import ReadOut, Reply
from laybyd.core.events import Operate, Read
from laybyd.core.types import DEAD, DEFERRED
from tests.simulation.client import NOBODY, Client
from tests.simulation.network import Answer, Network
from tests.simulation.world import MS, SECOND, World

PATIENCE_US = 10 * SECOND


class Operator(Client):
    def __init__(
        self, world: World, network: Network, name: str, groups: list[str], gap_us: int
    ) -> None:
        super().__init__(world, network, name)
        self._groups = groups
        self._gap_us = gap_us
        self.stopped = False
        self.later(world.pause(gap_us), self.work)

    def work(self) -> None:
        """Look at a lane, then do something to a part of what is there."""
        if not self.stopped:
            args = {
                "group": self.world.random.choice(self._groups),
                "lane": self.world.random.choice((DEFERRED, DEAD)),
                "limit": self.world.between(1, 20),
            }
            listing = Operate(NOBODY, "parked", args)
            self.ask(listing, PATIENCE_US, lambda answer: self._seen(args, answer), self._rest)

    def _rest(self) -> None:
        self.later(self.world.pause(self._gap_us), self.work)

    def _seen(self, args: dict[str, Any], answer: Answer) -> None:
        reply = answer.effect
        parked = reply.fields["parked"] if isinstance(reply, Reply) else []
        chosen = [self._part(one) for one in parked if self.world.chance(0.5)]
        if not chosen:
            self._rest()
            return
        verb = self.world.random.choice(("retry", "retry", "drop"))
        change = Operate(
            NOBODY, verb, {"group": args["group"], "lane": args["lane"], "ranges": tuple(chosen)}
        )
        self.ask(change, PATIENCE_US, lambda answer: self._rest(), self._rest)

    def _part(self, one: dict[str, int]) -> tuple[int, int]:
        """All of a record, or some of it."""
        first = self.world.between(one["from"], one["to"])
        return first, self.world.between(first, one["to"])


class Inspector(Client):
    """Lists all that is dead, group by group, page by page, and what the broker counts."""

    def __init__(self, world: World, network: Network, name: str, groups: list[str]) -> None:
        super().__init__(world, network, name)
        self._groups = groups
        self.later(0, self._list, 0)

    @property
    def done(self) -> bool:
        return not self._groups

    def _list(self, after: int) -> None:
        if self._groups:
            args = {"group": self._groups[0], "lane": DEAD, "limit": 1_000, "after": after}
            self.ask(Operate(NOBODY, "parked", args), PATIENCE_US, self._listed, self._again)

    def _again(self) -> None:
        self._list(0)

    def _listed(self, answer: Answer) -> None:
        fields = answer.effect.fields
        if fields["more"]:
            self._list(fields["parked"][-1]["to"])
        else:
            self._count()

    def _count(self) -> None:
        show = Operate(NOBODY, "group", {"group": self._groups[0]})
        self.ask(show, PATIENCE_US, lambda answer: self._next(), self._count)

    def _next(self) -> None:
        self._groups = self._groups[1:]
        self._list(0)


class Reader(Client):
    """Follows the log from its start, without a group."""

    def __init__(self, world: World, network: Network, name: str, topics: tuple[str, ...]) -> None:
        super().__init__(world, network, name)
        self._topics = topics
        self._next = 1
        self.later(world.pause(SECOND), self.work)

    def work(self) -> None:
        limit, size = self.world.random.choice(((1, 1), (10, 1 << 20), (500, 1 << 20)))
        read = Read(NOBODY, self._topics, self._next, None, None, limit, size, 5_000)
        self.ask(read, PATIENCE_US, self._read, self.work)

    def _read(self, answer: Answer) -> None:
        if isinstance(answer.effect, ReadOut):
            self._next = answer.effect.next
        self.later(self.world.pause(100 * MS), self.work)
