"""Consumers of level 1 as the protocol wants them, and what both levels share.

Owns one consumer's leases and handlers. Believes only what it was told in answers. A consumer of
level 1 has no session: it polls, handles what came one by one, settles, and polls again.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from laybyd.core.effects import Deliver, Grant
from laybyd.core.events import Poll, Settle
from laybyd.core.types import Outcome, Verdict
from tests.simulation.client import NOBODY, Client
from tests.simulation.handling import Handling
from tests.simulation.network import Answer, Network
from tests.simulation.world import MS, SECOND, World

SETTLE_PATIENCE_US = 5 * SECOND
POLL_PATIENCE_US = 2 * SECOND
"""On top of `wait_ms`, as the protocol says."""

PAUSE_US = 20 * MS
"""Between polls that bring nothing."""

CALM_PAUSE_US = 2 * SECOND
"""At the end there is time: hours of backoff pass in few steps."""


class Way(NamedTuple):
    """How one consumer works. `start_us` goes before `start`."""

    group: str
    topics: tuple[str, ...]
    start: str | int | None
    handlers: int
    credit: int
    credit_bytes: int
    wait_ms: int
    handling: Handling
    reports: bool = True
    hands_back: bool = True
    rides: bool = True
    tells_us: int = 0
    batches: float = 0.0
    lies: float = 0.0
    forgets: float = 0.0
    start_us: int | None = None

    @property
    def begins(self) -> dict[str, Any]:
        """Where it wants its group to begin, as requests say it."""
        start = self.start if self.start_us is None else None
        return {"start": start, "start_us": self.start_us}


class Work(NamedTuple):
    """One message in hand."""

    lease: bytes
    position: int
    value: int
    lease_us: int


def work_of(answer: Answer) -> list[Work]:
    deliver = answer.effect
    return [
        Work(grant.lease, position, value, grant.lease_ms * MS)
        for grant, values in zip(deliver.leases, answer.blocks, strict=True)
        for position, value in zip(positions_of(grant), values, strict=True)
    ]


def positions_of(grant: Grant) -> list[int]:
    return [at for piece in grant.pieces for at in range(piece.first, piece.last + 1)]


def verdict(work: Work, outcome: Outcome, delay_ms: int | None = None) -> Verdict:
    return Verdict(work.lease, ((work.position, work.position),), outcome, "because", delay_ms)


class Consumer(Client):
    """Level 1."""

    def __init__(self, world: World, network: Network, name: str, way: Way) -> None:
        super().__init__(world, network, name)
        self.way = way
        self.pause_us = PAUSE_US
        self._names = True
        self.todo: list[Work] = []
        self.later(world.pause(100 * MS), self.work)

    @property
    def label(self) -> str:
        """Without a session it is somebody new on every connection."""
        return f"{super().label}.{self._connection.number}"

    def work(self) -> None:
        if self.todo:
            work = self.todo.pop(0)
            treatment = self.way.handling.treat(work.value, self.world)
            if treatment.kills:
                self.later(treatment.takes_us, self.fall)
                return
            if self.world.chance(self.way.forgets):
                self.later(treatment.takes_us, self.work)
                return
            told = verdict(work, treatment.outcome, treatment.delay_ms)
            self.later(treatment.takes_us, self._settle, (told,))
            return
        self.poll()

    @property
    def topics(self) -> tuple[str, ...] | None:
        """What it asks for: its own, until it is told that the group reads others."""
        return self.way.topics if self._names else None

    def refused(self, code: str) -> None:
        if code in ("subscription_differs", "unknown_group"):
            self._names = code == "unknown_group"

    def poll(self) -> None:
        way = self.way
        poll = Poll(
            NOBODY,
            way.group,
            self.topics,
            way.credit,
            way.credit_bytes,
            way.wait_ms,
            name=self.name,
            **way.begins,
        )
        self.ask(poll, way.wait_ms * MS + POLL_PATIENCE_US, self._polled, self.work)

    def _polled(self, answer: Answer) -> None:
        if isinstance(answer.effect, Deliver):
            self.todo = work_of(answer)
            self.later(0 if self.todo else self.pause_us, self.work)
        else:
            self.refused(answer.effect.code)
            self.later(max(1, answer.effect.retry_ms) * MS, self.work)

    def _settle(self, verdicts: tuple[Verdict, ...]) -> None:
        settle = Settle(NOBODY, self.way.group, verdicts)
        self.ask(settle, SETTLE_PATIENCE_US, lambda answer: self.work(), self._unsettled(verdicts))

    def _unsettled(self, verdicts: tuple[Verdict, ...]):
        return lambda: self._settle(verdicts)

    def fall(self) -> None:
        """The message took the process down; somebody starts it again."""
        self.die()
        self.world.after(self.world.between(1, 2_000) * MS, self.live_again)

    def calm_down(self, wait_ms: int) -> None:
        """From now on no false word; one that has forgotten work begins anew, for what it goes on
        holding can be had by nobody else."""
        way, forgot = self.way, self.way.forgets > 0
        self.way = way._replace(wait_ms=max(way.wait_ms, wait_ms), lies=0.0, forgets=0.0)
        self.pause_us = CALM_PAUSE_US
        if forgot and self.alive:
            self.fall()

    def hire(self, handlers: int) -> None:
        self.way = self.way._replace(handlers=self.way.handlers + handlers)

    def die(self) -> None:
        super().die()
        self.todo = []

    def live_again(self) -> None:
        if not self.alive:
            super().live_again()
            self.later(0, self.work)
