"""Where effects go, with workers that only note what they were given."""

from __future__ import annotations

from typing import Any, cast

import pytest

from laybyd.core.effects import Append, Deliver, Grant
from laybyd.core.events import Fetched, Fetching, Goodbye, Push, Shortened, Undelivered
from laybyd.core.types import DEFERRED, LIVE, Caller, Piece
from laybyd.scheduler.appends import Appends
from laybyd.scheduler.delivery import Assembled, Outgoing
from laybyd.scheduler.dispatch import INLINE_BYTES, Dispatch, Outlets, Workers
from laybyd.scheduler.log_writer import Written
from laybyd.scheduler.ring import Ring
from laybyd.wire.block import Item


class Worker:
    def __init__(self) -> None:
        self.jobs: list[Any] = []

    def put(self, job: Any) -> None:
        self.jobs.append(job)


class Rig:
    def __init__(self, writer: Any = None) -> None:
        self.writer, self.state, self.reader = writer or Worker(), Worker(), Worker()
        self.sent: list[Outgoing] = []
        self.done: list[bytes] = []
        workers = cast("Any", Workers(self.writer, self.state, self.reader))  # type: ignore[arg-type]
        unused = cast("Any", None)
        outlets = Outlets(
            lambda name: 1, self.sent.extend, lambda size: None, self.done.append, unused, {}
        )
        appends = Appends(1 << 20, 100)
        self.dispatch = Dispatch(unused, unused, workers, unused, Ring(1 << 20), appends, outlets)


@pytest.fixture
def rig() -> Rig:
    return Rig()


def answer(lane: str) -> Deliver:
    grant = Grant(b"lease", "app", lane, 1, 1000, False, (Piece(1, 1, 1, lane),))
    return Deliver(Caller(b"p"), "g", 1, (grant,))


@pytest.mark.parametrize("lane", [LIVE, DEFERRED])
def test_the_core_hears_that_another_thread_fetches_the_bytes_and_that_they_go_out(rig, lane):
    effect = answer(lane)
    rig.dispatch.run([effect], 0)
    (job,) = (rig.reader if lane == LIVE else rig.state).jobs
    assert job.effect is effect
    assert rig.dispatch.follow_ups() == [Fetching("g", (b"lease",))]
    shortened = Shortened("g", b"lease", 1)
    made = Assembled(Outgoing(effect, (b"block",)), (shortened,))
    assert rig.dispatch.fetched(made) == (shortened, Fetched("g", (b"lease",)))
    rig.dispatch.flush()
    assert rig.sent == [made.outgoing]


def test_an_answer_without_leases_waits_for_nobody(rig):
    effect = Deliver(Caller(b"p"), "g", 1, (), why="nothing")
    rig.dispatch.run([effect], 0)
    rig.dispatch.flush()
    assert (rig.sent, rig.dispatch.follow_ups()) == ([Outgoing(effect)], [])


def test_it_is_told_of_each_request_that_was_stepped_and_of_nothing_else(rig):
    rig.dispatch.run([], 0, Goodbye(Caller(b"p", (), 1), "g", b"s"))
    rig.dispatch.run([], 0, Undelivered(Caller(b"q"), "g", (b"lease",)))
    rig.dispatch.run([], 0)
    assert rig.done == [b"p"]


def lone(size: int = 9) -> Push:
    return Push(Caller(b"p", (), 1), "app", Item(b"x" * size), 1, size, 0, False)


class Writer(Worker):
    """Commits at once, or notes what is queued."""

    is_idle = True

    def __init__(self) -> None:
        super().__init__()
        self.committed: list[Any] = []

    def commit(self, groups: list[Any]) -> Written:
        self.committed += groups
        return Written((), groups=len(groups))


@pytest.mark.parametrize(
    ("pushes", "alone", "idle", "here", "bulk"),
    [
        ([lone()], True, True, True, False),
        ([lone()], False, True, False, False),
        ([lone()], True, False, False, False),
        ([lone(INLINE_BYTES + 1)], True, True, False, True),
        ([lone()] * 9, True, True, True, False),
    ],
)
def test_a_small_group_alone_is_committed_here_when_the_writer_is_idle(
    pushes, alone, idle, here, bulk
):
    rig = Rig(writer := Writer())
    writer.is_idle = idle
    rig.dispatch.run([Append(push) for push in pushes], 7)
    rig.dispatch.append(7, alone)
    assert (len(writer.committed), len(writer.jobs)) == (int(here), int(not here))
    assert (rig.dispatch.bulk_us == 7) is bulk
