"""The two ways to run a world: killed again and again, or behind a proxy that maltreats everybody.

Owns the order of faults, each drawn from the seed; when they strike is up to the machine, so a run
is alike, not the same, under the same seed. Must never judge: the auditor does.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

from loadtests.daemon import NotReady
from tests.kills.proxy import Proxy
from tests.kills.world import ClientFailed, NotDrained, World

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.audit.auditor import Account
    from tests.audit.history import Line

LOOPS = 40
"""In one world, that is on one store; more loops are more worlds."""

STOP_EVERY = 4
STOP_S = 1.0
UP_S = 0.45
START_S = 0.25
STILLBORN = 0.1
"""So many starts are killed before anybody has been answered."""

ROUND_S = 2.0
ROUNDS_A_KILL = 4


class Run(NamedTuple):
    """What came of one world, and all that its clients saw. `trouble`: why it came to no end."""

    account: Account
    faults: Mapping[str, int]
    lines: list[Line]
    trouble: str = ""

    @property
    def failures(self) -> list[str]:
        return [*([self.trouble] if self.trouble else []), *self.account.faults]


def kill_loops(home: Path, seed: int, loops: int, say: Callable[[str], None]) -> Run:
    """SIGKILL at any instant, every fourth time behind a second of SIGSTOP."""
    world = World(home, seed)
    done = {"kills": 0, "stops": 0, "stillborn": 0}
    try:
        return _judged(world, done, lambda: _kill_again_and_again(world, loops, done, say))
    finally:
        world.close()


def _kill_again_and_again(
    world: World, loops: int, done: dict[str, int], say: Callable[[str], None]
) -> None:
    chance = random.Random(world.seed)
    world.serve()
    world.join(world.daemon.url)
    for loop in range(loops):
        world.wait(chance.uniform(0, UP_S))
        if loop % STOP_EVERY == STOP_EVERY - 1:
            world.stop_for(STOP_S)
            world.wait(chance.uniform(0, UP_S / 4))
            done["stops"] += 1
        world.kill()
        done["kills"] += 1
        if chance.random() < STILLBORN:
            world.daemon.launch()
            world.wait(chance.uniform(0, START_S))
            world.kill()
            done["stillborn"] += 1
        world.serve()
        say(f"kill {loop + 1} of {loops}, boot {world.boot}")


def black_box(home: Path, seed: int, seconds: float, say: Callable[[str], None]) -> Run:
    """Everybody behind a proxy that cuts, stalls, delays and drips; now and then a kill."""
    world = World(home, seed)
    proxy = Proxy(int(world.daemon.url.rpartition(":")[2]), seed)
    try:
        return _judged(world, proxy.done, lambda: _maltreat(world, proxy, seconds, say))
    finally:
        world.close()
        proxy.stop()


def _maltreat(world: World, proxy: Proxy, seconds: float, say: Callable[[str], None]) -> None:
    world.serve()
    proxy.start()
    world.join(proxy.url)
    world.join_slow(proxy.url)
    for number in range(1, max(1, round(seconds / ROUND_S)) + 1):
        world.wait(ROUND_S)
        if number % ROUNDS_A_KILL == 0:
            world.kill()
            world.serve()
            proxy.done["kills"] += 1
        say(f"{number * ROUND_S:.0f} s, {dict(proxy.done)}")
    proxy.calm()


def _judged(world: World, faults: Mapping[str, int], run: Callable[[], None]) -> Run:
    """What came to no end is judged all the same, by what there is."""
    trouble = ""
    try:
        run()
        world.drain()
    except (NotDrained, NotReady, ClientFailed) as error:
        trouble = f"{type(error).__name__}: {str(error)[:400]}"
    lines = world.lines()
    return Run(world.account(lines), dict(faults), lines, trouble)
