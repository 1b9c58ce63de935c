"""The load scenarios: who takes part, and which bars a run must pass.

Owns numbers. The account (nothing lost, nothing twice, order, counts) is demanded of each scenario
and so stands nowhere here; the bars are times, judged only where told, for a machine that has
nothing else to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from loadtests import users
from loadtests.latency import latency, percentile

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadtests.world import World

MAX_ATTEMPTS = 3
SETTINGS = {
    "groups.max_attempts": MAX_ATTEMPTS,
    "groups.backoff": "[200ms, 400ms]",
    "groups.lease": "2s",
}
LIMITS = {"max_attempts": MAX_ATTEMPTS, "backoff_ms": [200, 400], "lease_ms": 2_000}
"""The same, as the auditor is told."""


class Bar(NamedTuple):
    """`measure` must not exceed `limit` (or with `least`, must reach it)."""

    name: str
    limit: float
    unit: str
    measure: Callable[[World], float]
    least: bool = False

    def passed(self, value: float) -> bool:
        return value >= self.limit if self.least else value <= self.limit


class Scenario(NamedTuple):
    name: str
    about: str
    users: tuple[type[users.BrokerUser], ...]
    bars: tuple[Bar, ...]


# ---- what is measured -------------------------------------------------------------------------


def _live(world: World, since_us: int = 0, before_us: int = 1 << 62) -> list[float]:
    """Waits in ms of messages that are no poison, by the instant of their intended send."""
    since_us = max(since_us, world.warm_us)
    return sorted(
        wait.wait_us / 1_000
        for wait in world.waits
        if since_us <= wait.intended_us < before_us and not wait.poison
    )


def live(share: float) -> Callable[[World], float]:
    return lambda world: percentile(_live(world), share)


def worst_live(world: World) -> float:
    return percentile(_live(world), 1.0)


def push(share: float) -> Callable[[World], float]:
    def measure(world: World) -> float:
        waits = sorted(took for at, took in world.push_waits if at >= world.warm_us)
        return percentile(waits, share) / 1_000

    return measure


def live_ratio(world: World) -> float:
    """p99 behind the half against before it."""
    before = latency(wait * 1_000 for wait in _live(world, before_us=world.half_us))
    behind = latency(wait * 1_000 for wait in _live(world, since_us=world.half_us))
    return behind.p99 / before.p99


def others_ratio(world: World) -> float:
    """p99.9 likewise, without the messages that somebody died with."""
    first = [wait for wait in world.waits if wait.intended_us >= world.warm_us and not wait.late]
    before = sorted(wait.wait_us for wait in first if wait.intended_us < world.half_us)
    behind = sorted(wait.wait_us for wait in first if wait.intended_us >= world.half_us)
    return percentile(behind, 0.999) / percentile(before, 0.999)


def rate(world: World) -> float:
    return len(world.pushed) / world.seconds


# ---- who takes part ---------------------------------------------------------------------------


class Even(users.Producer):
    """1,000 messages a second in blocks of ten."""

    fixed_count = 2


class Tainted(Even):
    poison_every = 100


class Bursting(users.Producer):
    """Nothing for five seconds, then 10,000 messages at once."""

    fixed_count = 1
    per_second = 0.2
    messages = 10_000


class Background(users.Producer):
    fixed_count = 1
    per_second = 50.0


class Thousand(users.Lone):
    """Each a message every half second, one in flight."""

    fixed_count = 1_000
    per_second = 2.0


class Worker(users.Consumer):
    """Works 0.8 ms on each message."""

    fixed_count = 4
    handling_s = 0.0008
    credit = 16


class Reader(users.Consumer):
    fixed_count = 4
    credit = 1_000


class Guest(users.Visitor):
    fixed_count = 1
    handling_s = 0.0008
    credit = 16


class Doomed(users.Mortal):
    fixed_count = 1
    handling_s = 0.0008
    credit = 16


SCENARIOS = {
    one.name: one
    for one in (
        Scenario(
            "steady",
            "2,000 messages a second, 4 consumers that take 0.8 ms for each",
            (Even, Worker),
            (
                Bar("rate", 1_900, "msg/s", rate, least=True),
                Bar("push p99", 60, "ms", push(0.99)),
                Bar("live p50", 15, "ms", live(0.5)),
                Bar("live p99", 100, "ms", live(0.99)),
            ),
        ),
        Scenario(
            "burst",
            "500 messages a second, and 10,000 at once every five seconds",
            (Background, Bursting, Reader),
            (
                Bar("push p99", 500, "ms", push(0.99)),
                Bar("a burst is worked off in", 2_000, "ms", worst_live),
                Bar("live p50", 500, "ms", live(0.5)),
            ),
        ),
        Scenario(
            "poison",
            "steady, and from the half on one message in a hundred fails whenever it is tried",
            (Tainted, Worker),
            (
                Bar("live p99 against the clean half", 1.5, "x", live_ratio),
                Bar("live p99", 100, "ms", live(0.99)),
            ),
        ),
        Scenario(
            "churn",
            "steady, and from the half on consumers join, leave, and die with messages in hand",
            (Even, Worker, Guest, Doomed),
            (
                Bar("p99.9 at the others against before", 2.0, "x", others_ratio),
                Bar("live p99", 500, "ms", live(0.99)),
                Bar("worst live", 5_000, "ms", worst_live),
            ),
        ),
        Scenario(
            "fan-in",
            "1,000 producers of single messages, each with one push in flight",
            (Thousand, Reader),
            (
                Bar("rate", 1_900, "msg/s", rate, least=True),
                Bar("push p99", 500, "ms", push(0.99)),
            ),
        ),
    )
}
