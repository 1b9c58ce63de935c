"""Deadlines can be moved and taken back."""

import random

import pytest

from laybyd.core.deadlines import Deadlines


def test_keys_come_due_in_order():
    deadlines = Deadlines()
    for key, at in (("b", 20), ("a", 10), ("c", 30)):
        deadlines.set(key, at)
    assert deadlines.next() == 10
    assert list(deadlines.due(20)) == ["a", "b"]
    assert deadlines.next() == 30


@pytest.mark.parametrize("seed", range(10))
def test_moving_and_taking_back_is_as_if_it_had_never_been(seed):
    chance = random.Random(seed)
    deadlines, model = Deadlines(), {}
    for _ in range(500):
        key = chance.randint(0, 20)
        act = chance.random()
        if act < 0.5:
            model[key] = chance.randint(0, 1_000)
            deadlines.set(key, model[key])
        elif act < 0.8:
            model.pop(key, None)
            deadlines.cancel(key)
        else:
            now = chance.randint(0, 300)
            due = {key for key, at in model.items() if at <= now}
            assert set(deadlines.due(now)) == due
            model = {key: at for key, at in model.items() if key not in due}
        assert deadlines.next() == min(model.values(), default=None)
        assert len(deadlines) == len(model)


def test_deadlines_taken_back_leave_nothing_behind():
    deadlines = Deadlines()
    for key in range(10_000):
        deadlines.set(key, 1_000_000 + key)
        deadlines.cancel(key)
    assert len(deadlines._heap) < 200


def test_deadlines_that_move_to_and_fro_leave_nothing_behind():
    deadlines = Deadlines()
    deadlines.set("another", 500_000)
    for now in range(5_000):
        deadlines.set("key", now + 1_000_000)
        deadlines.set("key", now)
        assert list(deadlines.due(now)) == ["key"]
    assert len(deadlines._heap) < 200
