"""What becomes of a message in an application: how long it takes, and how it ends.

Owns the nature of messages: it is in their value, so that every consumer meets the same poison.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from laybyd.core.types import Outcome
from tests.simulation.world import MS, World


class Nature(Enum):
    GOOD = "good"
    POISON = "poison"
    """Its handler always raises."""
    STUCK = "stuck"
    """Its handler never comes back in time."""
    KILLER = "killer"
    """It takes the whole consumer down."""


class Treatment(NamedTuple):
    takes_us: int
    outcome: Outcome
    delay_ms: int | None = None
    kills: bool = False


class Handling(NamedTuple):
    """Chances per thousand values, and the mean time of a good one."""

    mean_us: int
    stuck_us: int
    poison: int
    stuck: int
    killer: int
    moody: float

    def nature(self, value: int) -> Nature:
        mark = value * 2_654_435_761 % (1 << 32) % 1_000
        for nature, share in (
            (Nature.POISON, self.poison),
            (Nature.STUCK, self.stuck),
            (Nature.KILLER, self.killer),
        ):
            if mark < share:
                return nature
            mark -= share
        return Nature.GOOD

    def treat(self, value: int, world: World) -> Treatment:
        nature = self.nature(value)
        takes = 1 + world.pause(self.mean_us)
        if nature is Nature.POISON:
            return Treatment(takes, Outcome.FAIL)
        if nature is Nature.STUCK:
            return Treatment(self.stuck_us + takes, Outcome.ACK)
        if nature is Nature.KILLER:
            return Treatment(takes, Outcome.ACK, kills=True)
        if world.chance(self.moody):
            return _mood(takes, world)
        return Treatment(takes, Outcome.ACK)


def _mood(takes: int, world: World) -> Treatment:
    """An application may end any message in any way."""
    outcome = world.random.choice(list(Outcome))
    delay_ms = None
    if outcome is Outcome.DEFER and world.chance(0.8):
        delay_ms = world.between(0, 60_000)
    return Treatment(takes + world.between(0, MS), outcome, delay_ms)
