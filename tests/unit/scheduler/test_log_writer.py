"""The log writer: everything queued is one commit; behind a refusal nothing slips through."""

from queue import SimpleQueue

import pytest

from laybyd.core.events import NewRows, NotStored, Push, Space, Stored, Trimmed
from laybyd.core.types import Caller
from laybyd.scheduler.appends import Appends
from laybyd.scheduler.log_writer import POSTPONED_US, LogWriter, ResumeJob, TrimJob
from laybyd.store.base import Postponed, Unknown
from laybyd.store.memory import MemoryStore
from laybyd.wire import block as blocks
from laybyd.wire.block import Item

NOW = 1_700_000_000_000_000


class Rig:
    def __init__(self) -> None:
        self.store = MemoryStore()
        self.reports = SimpleQueue()
        self.failures = SimpleQueue()
        self.writer = LogWriter(
            self.store, self.store.acquire(), lambda: NOW, self.reports.put, self.failures.put
        )

    def run(self, *jobs) -> list:
        """What is reported when all the jobs are there before the writer starts."""
        for job in jobs:
            self.writer.put(job)
        self.writer.start()
        self.writer.stop()
        return [event for written in self.written() for event in written.events]

    def written(self) -> list:
        return [self.reports.get() for _ in range(self.reports.qsize())]


@pytest.fixture
def rig():
    return Rig()


def group(*data: bytes):
    appends = Appends(1 << 20, 100)
    for one in data:
        body = Item(one)
        appends.add(Push(Caller(b"p"), "app", body, 1, len(one), blocks.single_crc(body), False))
    return appends.take(NOW)


def kinds(events) -> list[type]:
    return [type(event) for event in events]


def test_what_is_queued_together_is_one_commit_with_dense_positions(rig):
    rows, stored = rig.run(group(b"1", b"2"), group(b"3"))
    assert isinstance(rows, NewRows)
    assert [(row.first, row.messages) for row in rows.rows] == [(1, 2), (3, 1)]
    assert isinstance(stored, Stored)
    assert [position for _, position in stored.pushes] == [1, 2, 3]


def test_the_bodies_come_back_for_the_ring(rig):
    rig.run(group(b"1"))
    body = rig.store.read(1)[1]
    assert blocks.split(body)[0].data == b"1"


def test_a_full_log_refuses_and_all_that_is_queued_behind_until_resumed(rig):
    rig.store.set_full(log=True)
    first, second = group(b"1"), group(b"2")
    refused = rig.writer.commit([first])
    assert kinds(refused.events)[0] is NotStored
    rig.store.set_full()
    events = rig.run(second, ResumeJob(), group(b"3"))
    outcome = [type(event) for event in events if isinstance(event, NotStored | Stored)]
    assert outcome == [NotStored, Stored]
    assert rig.store.facts().end == 2


def test_a_commit_of_unknown_outcome_ends_the_daemon(rig):
    rig.store.fail_next("append", Unknown("the disk went away"))
    assert rig.run(group(b"1")) == []
    assert isinstance(rig.failures.get(timeout=5), Unknown)


def test_trimming_reports_where_the_log_begins_now(rig):
    (trimmed,) = [e for e in rig.run(group(b"1"), TrimJob(1)) if isinstance(e, Trimmed)]
    assert trimmed.start >= 1
    assert [topic.name for topic in trimmed.topics] == ["app"]


def test_room_that_comes_back_by_itself_is_told(rig, monkeypatch):
    """A core that knows of a full store hands over nothing that would find out."""
    monkeypatch.setattr("laybyd.scheduler.space.LOOK_AGAIN_S", 0.001)
    rig.store.set_full(log=True)
    rig.writer.commit([group(b"1")])
    rig.writer.start()
    assert rig.reports.get(timeout=5).events[0].log_full
    rig.store.set_full()
    (told,) = rig.reports.get(timeout=5).events
    assert isinstance(told, Space)
    assert not told.log_full
    rig.writer.stop()
    assert rig.writer._patience_s() is None


def test_a_trim_that_must_wait_is_tried_again_and_then_reported_once(rig):
    """Nothing else has to happen for it: the clock alone brings it back."""
    now = [NOW]
    rig.writer._now_us = lambda: now[0]
    rig.store.fail_next("trim", Postponed("somebody copies"))
    rig.writer.put(group(b"1"))
    rig.writer.put(TrimJob(1))
    assert rig.writer._turn()
    rig.writer.put(group(b"2"))
    assert rig.writer._turn()
    assert Trimmed not in kinds(event for one in rig.written() for event in one.events)
    now[0] += POSTPONED_US
    assert rig.writer._turn()
    assert kinds(event for one in rig.written() for event in one.events) == [Trimmed]
    assert rig.writer._postponed == []


def test_it_is_idle_when_it_has_no_job_in_hand_and_none_waits(rig):
    seen = SimpleQueue()
    assert rig.writer.is_idle
    rig.writer.put(TrimJob(1))
    assert not rig.writer.is_idle
    trim = rig.store.trim
    rig.store.trim = lambda *given: (seen.put(rig.writer.is_idle), trim(*given))[1]
    rig.run()
    assert seen.get_nowait() is False
    assert rig.writer.is_idle
