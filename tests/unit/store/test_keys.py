"""Byte order is meaning order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from laybyd.core.types import DEAD, DEFERRED
from laybyd.store import keys

GIDS = st.integers(0, (1 << 32) - 2)
POSITIONS = st.integers(0, (1 << 53) - 1)
PLACES = st.tuples(GIDS, POSITIONS)


@given(PLACES, PLACES)
def test_records_lie_by_group_then_position(one: tuple[int, int], two: tuple[int, int]) -> None:
    for key in (keys.delta, keys.body):
        assert (key(*one) < key(*two)) == (one < two)
    for lane in (DEFERRED, DEAD):
        assert (keys.record(lane, *one) < keys.record(lane, *two)) == (one < two)


@given(st.tuples(GIDS, POSITIONS, POSITIONS), st.tuples(GIDS, POSITIONS, POSITIONS))
def test_timers_lie_by_due_time(one: tuple[int, int, int], two: tuple[int, int, int]) -> None:
    assert (keys.timer(*one) < keys.timer(*two)) == (one < two)
    assert keys.due_of(keys.timer(*one)) == one[1]


@given(GIDS, POSITIONS, POSITIONS)
def test_a_group_holds_its_own_keys_only(gid: int, due_us: int, first: int) -> None:
    low, high = keys.all_of_group(keys.TIMER, gid)
    assert low <= keys.timer(gid, due_us, first) < high
    assert not low <= keys.timer(gid + 1, 0, 0) < high
    assert not low <= keys.body(gid, first) < high


def test_no_two_kinds_share_a_letter() -> None:
    letters = [*keys.OF_GROUP, keys.CLOCK, keys.DROPPED, keys.FORGOTTEN]
    assert len(set(letters)) == len(letters)


@given(st.text(max_size=50))
def test_topics_come_back(topic: str) -> None:
    key = keys.forgotten(topic)
    assert keys.topic_of(key) == topic
    low, high = keys.all_of(keys.FORGOTTEN)
    assert low <= key < high
