"""The scheduler's turns, with a core and a dispatch that only say what they were asked."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from laybyd.core.events import Goodbye, Late, Push
from laybyd.core.types import Caller
from laybyd.scheduler.dispatch import INLINE_BYTES
from laybyd.scheduler.scheduler import (
    BEHIND_MAX_US,
    LATE_US,
    QUIET_US,
    SLOW_US,
    Drained,
    Events,
    Ping,
    Scheduler,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from laybyd.scheduler.scheduler import Item

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

    def tick(self, now: int, behind: object = ()) -> list[object]:
        self.deadline = None
        self.ticked.set()
        return []


class Dispatch:
    append_bytes = 0
    bulk_us = 0

    def run(self, effects: object, now: int, event: object = None) -> None: ...
    def append(self, now: int, alone: bool) -> list[object]:
        return []

    def flush(self) -> None: ...
    def follow_ups(self) -> list[object]:
        return []


class Slow(Core):
    """Each request takes its time, which is a peer's name in milliseconds."""

    def __init__(self) -> None:
        super().__init__(None)
        self.then: int | None = None
        self.now = NOW_US
        self.did: list[tuple[str, object]] = []

    def step(self, event: object, now: int) -> list[object]:
        if isinstance(event, Late):
            self.late.append(event.late_us)
        else:
            self.now += 1_000 * int(event.caller.peer)
            self.did.append(("step", (event.caller.peer, event.caller.id)))
        return []

    def tick(self, now: int, behind: object = ()) -> list[object]:
        self.deadline = self.then
        self.did.append(("tick", set(behind)))
        return []

    def flush(self) -> None:
        self.did.append(("flush", None))

    def steps(self) -> list[tuple[bytes, int]]:
        return [what for kind, what in self.did if kind == "step"]


def slow_world() -> tuple[Slow, Scheduler]:
    """A scheduler whose turns the test takes, over a clock that only requests move."""
    core, dispatch = Slow(), Dispatch()
    dispatch.flush = core.flush
    scheduler = Scheduler(core, dispatch, lambda: core.now, lambda: None, lambda error: None)
    return core, scheduler


def requests(peer: bytes, count: int, group: str = "g") -> Events:
    return Events([Goodbye(Caller(peer, (), n), group, b"s") for n in range(count)])


def turns(scheduler: Scheduler, count: int) -> None:
    for _ in range(count):
        scheduler._turn()


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


def test_a_turn_ends_in_time_and_what_is_left_goes_on_in_order():
    core, scheduler = slow_world()
    scheduler.put(requests(b"8", 9))
    turns(scheduler, 1)
    assert len(core.steps()) == 4, "three of them fill the time, and one that was put off"
    assert ("flush", None) in core.did
    turns(scheduler, 5)
    assert core.steps() == [(b"8", n) for n in range(9)]


def test_who_comes_behind_long_requests_waits_for_two_of_them_at_most():
    core, scheduler = slow_world()
    scheduler.put(requests(b"80", 60))
    turns(scheduler, 1)
    scheduler.put(requests(b"0", 1, "other"))
    turns(scheduler, 1)
    assert (b"0", 0) in core.steps()
    assert core.steps().index((b"0", 0)) == 2
    assert core.did.index(("flush", None), core.did.index(("step", (b"0", 0)))) < core.did.index(
        ("step", (b"80", 2))
    ), "its answer does not wait for the next long one"


def test_what_is_due_is_done_meanwhile_but_for_groups_whose_requests_wait():
    core, scheduler = slow_world()
    scheduler.put(requests(b"80", 4))
    turns(scheduler, 1)
    assert core.did[-1] == ("flush", None)
    core.deadline = core.now
    turns(scheduler, 1)
    assert ("tick", {"g"}) in core.did
    turns(scheduler, 2)
    core.did.clear()
    core.deadline = core.now
    turns(scheduler, 1)
    assert ("tick", set()) in core.did


def test_a_group_whose_requests_never_end_is_not_spared_its_deadlines_for_good():
    core, scheduler = slow_world()
    scheduler.put(requests(b"80", 60))
    turns(scheduler, 1)
    held, spared = [], []
    while len(core.steps()) < 59:
        core.deadline = began = core.now
        core.did.clear()
        turns(scheduler, 1)
        ticks = [behind for what, behind in core.did if what == "tick"]
        (held if began - NOW_US < BEHIND_MAX_US else spared).extend(ticks)
        if began - NOW_US > 2 * BEHIND_MAX_US:
            break
    assert held
    assert spared
    assert all(behind == {"g"} for behind in held)
    assert all(behind == set() for behind in spared)


def test_a_deadline_that_is_held_back_is_no_standstill():
    """It stays overdue while requests of its group wait: leases move out for nothing of that."""
    core, scheduler = slow_world()
    core.deadline = core.then = NOW_US
    scheduler.put(requests(b"80", 60))
    for _ in range(30):
        turns(scheduler, 1)
        scheduler.put(Drained())
        turns(scheduler, 1)
    assert core.now - NOW_US > 2 * LATE_US
    assert core.late == []


# ---- a turn on the front-end's thread -----------------------------------------------------------


def lone(size: int = 9) -> Events:
    return Events([Push(Caller(b"0", (), 1), "app", b"", 1, size, 0, False)])


class Stepped(Core):
    """Says on which thread it was stepped with what; a push moves its deadline, or fails."""

    def __init__(self, deadline: int | None = None, then: int | None = None) -> None:
        super().__init__(deadline)
        self.then = deadline if then is None else then
        self.steps: list[tuple[str, int]] = []
        self.stepped = threading.Event()
        self.error: BaseException | None = None

    def step(self, event: object, now: int) -> list[object]:
        self.steps.append((type(event).__name__, threading.get_ident()))
        self.deadline = self.then
        self.stepped.set()
        if self.error is not None:
            raise self.error
        return []

    def here(self) -> list[bool]:
        return [thread == threading.get_ident() for _, thread in self.steps]


def test_a_lone_push_has_its_turn_on_the_thread_that_brings_it(world: World):
    core = Stepped()
    world.start(core)
    world.scheduler.receive(lone())
    assert core.here() == [True]


@pytest.mark.parametrize(
    "item", [Events(lone().events * 2), lone(INLINE_BYTES + 1), requests(b"p", 1), Drained()]
)
def test_anything_else_waits_for_the_thread(world: World, item: Item):
    core = Stepped()
    world.start(core)
    world.scheduler.receive(item)
    asked = threading.Event()
    world.scheduler.put(Ping(asked.set))
    assert asked.wait(5)
    assert True not in core.here()


def test_a_lone_push_does_not_overtake_what_waits():
    core = Stepped()
    scheduler = Scheduler(core, Dispatch(), lambda: NOW_US, lambda: None, lambda error: None)
    scheduler.put(requests(b"p", 1))
    scheduler.receive(lone())
    assert core.steps == []
    scheduler._turn()
    assert [kind for kind, _ in core.steps] == ["Goodbye", "Push"]


def test_a_lone_push_does_not_overtake_what_was_put_off():
    core, scheduler = slow_world()
    scheduler.put(requests(b"80", 5))
    turns(scheduler, 1)
    assert scheduler._put_off
    done = len(core.did)
    scheduler.receive(lone())
    assert len(core.did) == done


def test_a_lone_push_waits_for_the_turn_that_is_under_way():
    core = Stepped()
    scheduler = Scheduler(core, Dispatch(), lambda: NOW_US, lambda: None, lambda error: None)
    with scheduler._turning:
        scheduler.receive(lone())
        assert core.steps == []
    scheduler._turn()
    assert len(core.steps) == 1


def test_what_is_due_comes_before_a_lone_push():
    core = Stepped(NOW_US)
    scheduler = Scheduler(core, Dispatch(), lambda: NOW_US, lambda: None, lambda error: None)
    scheduler.receive(lone())
    assert core.steps == []


def test_while_the_socket_is_drained_a_lone_push_waits_its_turn():
    core = Stepped(NOW_US - 100_000)
    scheduler = Scheduler(core, Dispatch(), lambda: NOW_US, lambda: None, lambda error: None)
    scheduler._turn()
    scheduler._deadline = None
    scheduler.receive(lone())
    assert core.steps == []


@pytest.mark.parametrize("before", [None, NOW_US + (1 << 50)])
def test_the_thread_hears_of_an_earlier_deadline(world: World, before: int | None):
    core = Stepped(before, then=NOW_US + 1)
    world.start(core)
    asked = threading.Event()
    world.scheduler.put(Ping(asked.set))
    assert asked.wait(5)
    core.ticked.clear()
    world.scheduler.receive(lone())
    assert core.here() == [True]
    assert core.ticked.wait(5)


def test_soon_after_bulk_a_lone_push_waits_for_the_thread():
    core, dispatch = Stepped(), Dispatch()
    scheduler = Scheduler(core, dispatch, lambda: NOW_US, lambda: None, lambda error: None)
    dispatch.bulk_us = NOW_US - QUIET_US
    scheduler.receive(lone())
    assert core.steps == []
    scheduler._turn()
    dispatch.bulk_us -= 1
    scheduler.receive(lone())
    assert len(core.steps) == 2


def test_after_a_slow_commit_lone_pushes_wait_for_the_thread_for_a_while():
    core, scheduler = slow_world()
    push = lone()
    slow = push.events[0]._replace(caller=Caller(b"20", (), 1))
    scheduler.receive(Events([slow]))
    assert core.now == NOW_US + SLOW_US
    scheduler.receive(push)
    core.now += QUIET_US
    scheduler.receive(push)
    assert len(core.steps()) == 1
    turns(scheduler, 1)
    core.now += 1
    scheduler.receive(push)
    assert len(core.steps()) == 4


def test_what_a_lone_push_leaves_over_is_taken_up_by_the_thread(world: World):
    core, dispatch = Stepped(), Dispatch()
    left = [requests(b"p", 1).events]
    dispatch.follow_ups = lambda: left.pop() if left else []
    world.scheduler = Scheduler(core, dispatch, lambda: NOW_US, world.drain, world.errors.append)
    world.scheduler.receive(lone())
    assert not world.scheduler._inbox._bell.locked(), "else it would sleep over it"
    core.stepped.clear()
    world.scheduler.start()
    assert core.stepped.wait(5)
    assert core.here() == [True, False]


def test_no_turn_follows_one_that_failed_whichever_thread_took_it():
    core, errors = Stepped(), []
    core.error = ValueError("a bug")
    scheduler = Scheduler(core, Dispatch(), lambda: NOW_US, lambda: None, errors.append)
    scheduler.start()
    scheduler.receive(lone())
    assert errors == [core.error]
    scheduler.receive(lone())
    scheduler.put(lone())
    scheduler.stop()
    assert len(core.steps) == 1
