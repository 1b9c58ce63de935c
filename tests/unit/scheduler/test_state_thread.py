"""The state thread: strictly in order, commits together, reads in step with them."""

from queue import SimpleQueue

import pytest

from laybyd.core.effects import Commit, Deliver, FindParked, Grant, LoadDue, Park, Unpark
from laybyd.core.events import Committed, DueLoaded, ParkedFound, Unmade
from laybyd.core.types import DEFERRED, Caller, Parked, Piece
from laybyd.scheduler.bodies import Bodies
from laybyd.scheduler.reader import AssembleJob
from laybyd.scheduler.state_thread import StateThread
from laybyd.store import records
from laybyd.store.base import Full, NewBlock
from laybyd.store.memory import MemoryStore
from laybyd.wire import block as blocks
from laybyd.wire.block import Item

NOW = 1_700_000_000_000_000


class Rig:
    """A store with one block of four messages, `0` to `3`, at positions 1 to 4."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.reports, self.failures = SimpleQueue(), SimpleQueue()
        fence = self.store.acquire()
        body = blocks.build([Item(b"%d" % n) for n in range(4)], NOW)
        self.store.append(fence, [NewBlock("app", 4, body)], NOW)
        bodies = Bodies(self.store, 1 << 20)
        self.thread = StateThread(self.store, fence, bodies, self.reports.put, self.failures.put)

    def run(self, *jobs) -> list:
        for job in jobs:
            self.thread.put(job)
        self.thread.start()
        self.thread.stop()
        return [self.reports.get() for _ in range(self.reports.qsize())]

    def events(self, *jobs) -> list:
        return [event for report in self.run(*jobs) for event in report.events]


@pytest.fixture
def rig():
    return Rig()


def parked(first: int, last: int | None = None, due_us: int = NOW) -> Parked:
    last = last or first
    return Parked(1, first, last, "app", 1, due_us, 0, 60, first)


def park(record: Parked, *body: Piece, old: Parked | None = None) -> Park:
    return Park(DEFERRED, record, body, old and (DEFERRED, old))


def from_log(first: int, last: int) -> Piece:
    return Piece(first, last, 1)


def delivery(*pieces: Piece) -> AssembleJob:
    grant = Grant(b"lease", "app", DEFERRED, 1, 1000, False, pieces)
    return AssembleJob(Deliver(Caller(b"p"), "g", 1, (grant,)), 1, {})


def data(block: object) -> list[bytes]:
    return [item.data for item in blocks.split(block)]


def test_commits_that_stand_together_are_reported_in_their_order(rig):
    events = rig.events(*[Commit(token, ()) for token in (1, 2, 3)])
    assert events == [Committed(1), Committed(2), Committed(3)]


def test_a_read_sees_the_commit_before_it_and_not_the_one_behind(rig):
    record = parked(2)
    events = rig.events(
        Commit(1, (park(record, from_log(2, 2)),)),
        FindParked(7, 1, DEFERRED),
        Commit(2, (Unpark(DEFERRED, record),)),
        LoadDue("g", 1, (0, 0), 10),
    )
    assert events == [
        Committed(1),
        ParkedFound(7, (record,), False),
        Committed(2),
        DueLoaded("g", (), False),
    ]


def test_a_parked_message_is_served_from_its_own_bytes(rig):
    commit = Commit(1, (park(parked(3), from_log(3, 3)),))
    _, served = rig.run(commit, delivery(Piece(3, 3, 3, DEFERRED)))
    assert data(served.outgoing.blocks[0]) == [b"2"]


def test_bytes_of_a_record_written_in_the_same_breath_are_there(rig):
    whole, half = parked(1, 4), parked(1, 2)
    _, _, served = rig.run(
        Commit(1, (park(whole, from_log(1, 4)),)),
        Commit(2, (park(half, Piece(1, 2, 1, DEFERRED), old=whole),)),
        delivery(Piece(1, 2, 1, DEFERRED)),
    )
    assert data(served.outgoing.blocks[0]) == [b"0", b"1"]


def test_a_state_store_without_room_is_waited_for(rig, monkeypatch):
    monkeypatch.setattr("laybyd.scheduler.state_thread.FULL_RETRY_S", 0)
    rig.store.fail_next("commit_state", Full("no room"))
    rig.thread.put(Commit(1, (park(parked(3), from_log(3, 3)),)))
    rig.thread.start()
    assert rig.reports.get(timeout=10).events == (Committed(1),)
    assert records.parked_at(rig.store, DEFERRED, 1, 3) == parked(3)
    rig.thread.stop()
    assert rig.failures.empty()


def test_bytes_damaged_in_the_log_are_never_parked_as_if_they_were_good(rig):
    rig.store.damage(1)
    commit = Commit(1, (park(parked(3), from_log(3, 3)),))
    (committed, answer) = rig.events(commit, delivery(Piece(3, 3, 3, DEFERRED)))
    assert committed == Committed(1)
    assert isinstance(answer, Unmade)
    assert answer.damaged == (3, 3)


def test_room_that_comes_back_by_itself_is_told(rig, monkeypatch):
    monkeypatch.setattr("laybyd.scheduler.space.LOOK_AGAIN_S", 0.001)
    rig.store.set_full(state=True)
    rig.thread.start()
    rig.thread.put(Commit(1, ()))
    _, told = rig.reports.get(timeout=5).events
    assert told.state_full
    rig.store.set_full()
    (told,) = rig.reports.get(timeout=5).events
    rig.thread.stop()
    assert not told.state_full
