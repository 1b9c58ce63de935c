"""State ops to bytes and back."""

from __future__ import annotations

import pytest

from laybyd.core import effects as fx
from laybyd.core.types import DEAD, DEFERRED, Failure, GroupRecord, Parked, Piece
from laybyd.store import keys, records, values
from laybyd.store.base import Damaged, Erase, Fence, NewBlock
from laybyd.store.memory import MemoryStore


class State:
    """A store whose log ends at 1,001."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.fence: Fence = self.store.acquire()
        self.store.append(self.fence, [NewBlock("app", 1_000, b"x")], 1)

    def commit(self, *ops: fx.StateOp) -> None:
        puts = records.encode(ops, lambda park: b"bytes of %d" % park.record.first)
        self.store.commit_state(self.fence, puts)

    def keys(self) -> list[bytes]:
        return [key for key, _ in self.store.read_state(*records.ALL, 10_000)]

    def park(self, *spans: tuple[int, int], lane: str = DEFERRED) -> list[Parked]:
        made = [parked(first, last) for first, last in spans]
        self.commit(*(fx.Park(lane, one, (Piece(one.first, one.last, one.first),)) for one in made))
        return made

    def find(self, *ranges: tuple[int, int], lane: str = DEFERRED, after: int = 0, limit: int = 99):
        return records.find_parked(self.store, 1, lane, ranges, after, limit)


@pytest.fixture
def state() -> State:
    return State()


def parked(first: int, last: int | None = None, due_us: int = 50, **more: object) -> Parked:
    last = first if last is None else last
    return Parked(1, first, last, "app", 0, due_us, 10, 8, first)._replace(**more)


def test_every_field_of_a_record_comes_back(state: State) -> None:
    whole = Parked(
        gid=1,
        first=5,
        last=9,
        topic="äpp",
        attempts=3,
        due_us=(1 << 53) - 1,
        delay_us=7,
        size=11,
        block=5,
        at_us=13,
        in_log=True,
        alone=True,
        generation=2,
        releases=4,
        lease=b"\x00\xff",
        history=(Failure(1, "reason", "consumer", True, 2), Failure(2, "", "", False, 3)),
        failures=17,
    )
    state.commit(fx.Park(DEFERRED, whole))
    assert state.find() == ([whole], False)
    assert isinstance(state.find()[0][0].history[0], Failure)


def test_a_group_is_made_of_its_records(state: State) -> None:
    group = GroupRecord(4, "group", ("a.*", "b"), 7, 99, (("lease_us", 5), ("backoff_us", (1, 2))))
    state.commit(fx.SaveGroup(group))
    (made,) = records.load_groups(state.store)
    assert made == (group, 7, (), (), 0, 0, 0, 0)
    state.commit(
        fx.Delta(4, 1, ((9, 12),)),
        fx.Snapshot(4, 1, 8, ((9, 12),)),
        fx.Delta(4, 2, ((13, 20), (30, 30))),
        fx.Account(4, 1, 2, 3, 4),
        fx.Park(DEFERRED, parked(3, 4, gid=4, in_log=True)),
    )
    (made,) = records.load_groups(state.store)
    assert made == (group, 8, ((9, 20), (30, 30)), ((3, 4),), 1, 2, 3, 4)


def test_state_beyond_the_log_is_left_out(state: State) -> None:
    state.commit(
        fx.SaveGroup(GroupRecord(1, "group", ("app",), 1, 5)),
        fx.Snapshot(1, 0, 2_000, ((2_001, 2_005),)),
    )
    (made,) = records.load_groups(state.store)
    assert (made.floor, made.done) == (1_001, ())
    state.commit(fx.Snapshot(1, 0, 5, ((900, 2_000),)))
    assert records.load_groups(state.store)[0].done == ((900, 1_000),)


def test_group_numbers_are_never_used_again(state: State) -> None:
    assert records.load_next_gid(state.store) == 1
    groups = [fx.SaveGroup(GroupRecord(gid, f"group-{gid}", (), 1, 5)) for gid in (1, 2, 3)]
    state.commit(*groups)
    assert records.load_next_gid(state.store) == 4
    state.commit(fx.DropGroup(3), fx.DropGroup(1))
    assert records.load_next_gid(state.store) == 4
    state.commit(fx.DropGroup(2))
    assert records.load_next_gid(state.store) == 4


def test_a_record_that_moves_takes_its_bytes_along(state: State) -> None:
    (old,) = state.park((5, 9))
    assert records.parked_body(state.store, 1, 5) == b"bytes of 5"
    again = old._replace(due_us=70, attempts=1)
    state.commit(fx.Park(DEFERRED, again, (), (DEFERRED, old)))
    assert state.find()[0] == [again]
    assert records.load_due(state.store, 1, (0, 0), 9) == ([again], False)
    state.commit(fx.Park(DEAD, again, (), (DEFERRED, again)))
    assert state.find() == ([], False)
    assert state.find(lane=DEAD) == ([again], False)
    assert records.load_due(state.store, 1, (0, 0), 9) == ([], False)
    assert records.parked_body(state.store, 1, 5) == b"bytes of 5"
    state.commit(fx.Unpark(DEAD, again))
    with pytest.raises(KeyError):
        records.parked_body(state.store, 1, 5)
    assert state.keys() == [keys.CLOCK]


def test_halves_in_any_order_of_first_and_last(state: State) -> None:
    (old,) = state.park((5, 8))
    low, high = parked(5, 6), parked(7, 8)
    pieces = (Piece(5, 6, 5, DEFERRED),), (Piece(7, 8, 5, DEFERRED),)
    state.commit(
        fx.Park(DEFERRED, high, pieces[1], (DEFERRED, old)), fx.Park(DEFERRED, low, pieces[0])
    )
    assert state.find()[0] == [low, high]
    assert records.parked_body(state.store, 1, 5) == b"bytes of 5"
    assert records.parked_body(state.store, 1, 7) == b"bytes of 7"


def test_bytes_that_stay_in_the_log_are_not_deleted_there(state: State) -> None:
    pinned = parked(5, 6, in_log=True, block=1)
    own = parked(1)
    state.commit(fx.Park(DEFERRED, pinned), fx.Park(DEAD, own, (Piece(1, 1, 1),)))
    state.commit(fx.Unpark(DEFERRED, pinned, body=False))
    assert records.parked_body(state.store, 1, 1) == b"bytes of 1"


def test_what_stays_in_the_log_pins_it_until_it_goes(state: State) -> None:
    state.commit(fx.SaveGroup(GroupRecord(1, "group", ("app",), 1, 5)))
    one, two, three = (parked(at, at + 1, in_log=True) for at in (5, 7, 20))
    state.commit(fx.Park(DEFERRED, one), fx.Park(DEFERRED, two), fx.Park(DEAD, three))
    assert records.load_groups(state.store)[0].pinned == ((5, 8), (20, 21))
    state.commit(
        fx.Park(DEAD, two._replace(first=8), (), (DEFERRED, two)),
        fx.Park(DEFERRED, two._replace(last=7)),
        fx.Unpark(DEFERRED, one, body=False),
    )
    assert records.load_groups(state.store)[0].pinned == ((7, 8), (20, 21))
    state.commit(fx.Park(DEAD, three._replace(in_log=False), (), (DEAD, three)))
    state.commit(fx.Unpark(DEAD, two._replace(first=8), body=False))
    assert records.load_groups(state.store)[0].pinned == ((7, 7),)
    state.commit(fx.DropGroup(1))
    assert records.load_groups(state.store) == []


def test_a_record_with_damaged_bytes_goes_without(state: State) -> None:
    puts = records.encode([fx.Park(DEAD, parked(5), (Piece(5, 5, 5),))], lambda park: None)
    state.store.commit_state(state.fence, puts)
    assert len(state.find(lane=DEAD)[0]) == 1
    with pytest.raises(KeyError):
        records.parked_body(state.store, 1, 5)


def test_due_records_come_by_time_then_position(state: State) -> None:
    order = [parked(9, due_us=5), parked(3, due_us=6), parked(7, due_us=6), parked(1, due_us=8)]
    state.commit(*(fx.Park(DEFERRED, one) for one in reversed(order)))
    state.commit(fx.Park(DEFERRED, parked(2, due_us=1, gid=2)))
    assert records.load_due(state.store, 1, (0, 0), 9) == (order, False)
    assert records.load_due(state.store, 1, (0, 0), 3) == (order[:3], True)
    assert records.load_due(state.store, 1, (6, 3), 2) == (order[2:], False)
    assert records.load_due(state.store, 1, (8, 1), 2) == ([], False)


@pytest.mark.parametrize(
    ("ranges", "firsts"),
    [
        ([], [10, 20, 30, 41]),
        ([(1, 9)], []),
        ([(1, 10)], [10]),
        ([(14, 14)], [10]),
        ([(15, 19)], []),
        ([(14, 20)], [10, 20]),
        ([(22, 23), (24, 25)], [20]),
        ([(41, 41), (12, 13)], [10, 41]),
        ([(1, 100), (5, 60)], [10, 20, 30, 41]),
    ],
)
def test_records_are_found_by_any_position_in_them(
    state: State, ranges: list[tuple[int, int]], firsts: list[int]
) -> None:
    state.park((10, 14), (20, 25), (30, 40), (41, 41))
    state.park((16, 16), lane=DEAD)
    found, more = state.find(*ranges)
    assert [one.first for one in found] == firsts
    assert not more


def test_finding_goes_on_behind_the_last_one_found(state: State) -> None:
    made = state.park(*((at, at + 2) for at in range(1, 1_000, 4)))
    for ranges in ((), ((1, 1_000),), ((1, 300), (200, 1_000))):
        found: list[Parked] = []
        more = True
        while more:
            page, more = state.find(*ranges, after=found[-1].first if found else 0, limit=7)
            assert len(page) == 7 or not more
            found += page
        assert found == made


def test_topics_are_forgotten_up_to_a_position(state: State) -> None:
    state.commit(fx.ForgetTopic("a", 5), fx.ForgetTopic("b", 6), fx.ForgetTopic("a", 9))
    assert records.load_forgotten(state.store) == {"a": 9, "b": 6}
    state.commit(fx.ForgetTopic("a", 0))
    assert records.load_forgotten(state.store) == {"b": 6}


def test_the_clock_is_when_the_last_one_was_parked(state: State) -> None:
    assert records.load_clock(state.store) == 0
    state.commit(
        fx.Park(DEFERRED, parked(1, due_us=900, delay_us=100)),
        fx.Park(DEFERRED, parked(2, due_us=850, delay_us=40)),
        fx.Park(DEAD, parked(3, due_us=805, delay_us=0)),
    )
    assert records.load_clock(state.store) == 810


def test_a_damaged_record_is_not_read(state: State) -> None:
    state.park((5, 5))
    key = keys.record(DEFERRED, 1, 5)
    ((_, value),) = state.store.read_state(key, key + b"\0", 1)
    for bad in (
        value[:-1],
        value[:3],
        b"",
        value[:-1] + bytes((value[-1] ^ 1,)),
        b"\2" + value[1:],
    ):
        state.store.commit_state(state.fence, [(key, bad)])
        with pytest.raises(Damaged, match=key.hex()):
            state.find()
    elsewhere = keys.record(DEFERRED, 1, 6)
    state.store.commit_state(state.fence, [(key, None), (elsewhere, value)])
    with pytest.raises(Damaged):
        state.find()


def test_a_timer_without_its_record_is_damage(state: State) -> None:
    state.park((5, 5))
    state.store.commit_state(state.fence, [(keys.record(DEFERRED, 1, 5), None)])
    with pytest.raises(Damaged, match="has no record"):
        records.load_due(state.store, 1, (0, 0), 9)


def test_a_snapshot_swallows_the_deltas_of_its_own_commit() -> None:
    ops = [fx.Delta(1, 3, ((1, 2),)), fx.Snapshot(1, 3, 3, ()), fx.Delta(1, 4, ((5, 6),))]
    puts = records.encode(ops, lambda park: None)
    erased = puts[1]
    assert isinstance(erased, Erase)
    assert erased.first <= keys.delta(1, 3) < erased.end == keys.delta(1, 4)


def test_ranges_merge() -> None:
    assert values.merged([(5, 9), (1, 3), (4, 4), (20, 30), (22, 23)], 2, 26) == ((2, 9), (20, 25))
    assert values.merged([], 0, 9) == ()
    assert values.merged([(1, 5)], 6, 9) == ()
