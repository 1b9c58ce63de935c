"""The scheduler's turns, with a core and a dispatch that only say what they were asked."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from laybyd.core.events import Late
from laybyd.scheduler.scheduler import Drained, Ping, Scheduler

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW_US = 100_000_000


class Core:
    """Has one deadline, which a tick takes away."""

    def __init__(self, deadline: int | None) -> None:
        self.deadline = deadline
        self.late: list[int] = []
        self.ticked = threading.Event()

    def next_deadline(self) -> int | None:
        return self.deadline

    def step(self, event: object, now: int) -> list[object]:
        if isinstance(event, Late):
            self.late.append(event.late_us)
        return []

    def tick(self, now: int) -> list[object]:
        self.deadline = None
        self.ticked.set()
        return []


class Dispatch:
    append_bytes = 0

    def run(self, effects: object, now: int, event: object = None) -> None: ...
    def append(self, now: int, alone: bool) -> list[object]:
        return []

    def flush(self) -> None: ...
    def follow_ups(self) -> list[object]:
        return []


class World:
    def __init__(self) -> None:
        self.drains = 0
        self.errors: list[BaseException] = []

    def start(self, core: Core) -> None:
        self.scheduler = Scheduler(core, Dispatch(), lambda: NOW_US, self.drain, self.errors.append)
        self.scheduler.start()

    def drain(self) -> None:
        self.drains += 1
        self.scheduler.put(Drained())


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.scheduler.stop()
    assert not world.errors


def test_a_deadline_beyond_what_can_be_waited_for_is_waited_for(world: World):
    core = Core(NOW_US + (1 << 70))
    world.start(core)
    had_its_turn = threading.Event()
    world.scheduler.put(Ping(had_its_turn.set))
    assert had_its_turn.wait(5)
    world.scheduler.stop()
    assert not world.errors


@pytest.mark.parametrize("late_us", [0, 10_000])
def test_a_deadline_that_is_due_is_acted_on(world: World, late_us: int):
    core = Core(NOW_US - late_us)
    world.start(core)
    assert core.ticked.wait(5)
    assert (world.drains, core.late) == (0, [])


def test_a_late_turn_drains_the_socket_once_and_then_acts(world: World):
    core = Core(NOW_US - 100_000)
    world.start(core)
    assert core.ticked.wait(5)
    assert (world.drains, core.late) == (1, [])


def test_a_process_that_stood_still_moves_leases_out_once(world: World):
    core = Core(NOW_US - 3_000_000)
    world.start(core)
    assert core.ticked.wait(5)
    assert (world.drains, core.late) == (1, [3_000_000])
