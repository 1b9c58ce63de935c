"""Ranges against plain sets of numbers."""

import random

import pytest

from laybyd.core.intervals import ByPosition, RangeSet
from laybyd.core.live import Span
from laybyd.core.types import Row


def plain(ranges) -> set[int]:
    return {at for first, last in ranges for at in range(first, last + 1)}


@pytest.mark.parametrize("seed", range(20))
def test_a_range_set_is_a_set_of_numbers(seed):
    chance = random.Random(seed)
    ranges, model = RangeSet(), set()
    for _ in range(200):
        first = chance.randint(0, 60)
        last = first + chance.randint(0, 12)
        wanted = set(range(first, last + 1))
        if chance.random() < 0.6:
            ranges.add(first, last)
            model |= wanted
        else:
            ranges.remove(first, last)
            model -= wanted
        low = chance.randint(0, 60)
        high = low + chance.randint(0, 20)
        asked = set(range(low, high + 1))
        assert plain(ranges) == model
        assert ranges.measure() == len(model)
        assert plain(ranges.overlap(low, high)) == model & asked
        assert plain(ranges.gaps(low, high)) == asked - model
        assert ranges.covers(low, high) == (asked <= model)
        assert (low in ranges) == (low in model)
        gap = ranges.next_gap(low, high)
        missing = sorted(asked - model)
        assert (gap[0] if gap else None) == (missing[0] if missing else None)
        assert gap is None or plain([gap]) <= asked - model


def test_ranges_that_touch_are_one():
    assert list(RangeSet([(1, 2), (5, 6), (3, 4)])) == [(1, 6)]


def test_things_are_found_by_any_of_their_positions():
    rows = [Row(first, 3, "app", 30, 0) for first in (10, 1, 20)]
    things = ByPosition([Span(row.first, row.last, row) for row in rows])
    assert [one.first for one in things] == [1, 10, 20]
    assert [one.first for one in things.overlap(3, 10)] == [1, 10]
    assert [one.first for one in things.overlap(4, 9)] == []
    assert things.pop(10).first == 10
    assert [one.first for one in things.overlap(1, 99)] == [1, 20]
