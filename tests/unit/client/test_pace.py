"""How much to ask for, and from when on a message is slow."""

import pytest

from layby._pace import FADE_AT, HAND_BACK_AFTER_S, SLOW_FACTOR, Pace


def test_nothing_is_known_before_a_time_is_measured():
    pace = Pace()
    assert pace.credit(4) == 0
    assert pace.slow_s() == HAND_BACK_AFTER_S


def test_the_credit_is_what_the_handlers_do_before_a_hand_back_is_due():
    pace = Pace()
    pace.add(1, 0.001, deferred=False, done=True)
    assert pace.credit(4) == pytest.approx(4 * HAND_BACK_AFTER_S / 0.001, abs=1)


def test_slow_is_many_times_the_median_and_never_less_than_the_groups_setting():
    pace = Pace()
    for _ in range(9):
        pace.add(1, 0.020, deferred=False, done=True)
    assert pace.slow_s() == pytest.approx(SLOW_FACTOR * 0.020)
    pace.hand_back_after_s = 0.5
    assert pace.slow_s() == 0.5


def test_what_the_broker_says_of_hand_backs_sets_the_credit():
    pace = Pace()
    pace.add(10, 0.010, deferred=False, done=True)
    pace.hand_back_after_s = 0.1
    assert pace.credit(1) == 100


def test_a_poll_tells_the_time_of_each_lane_apart_once_it_is_known():
    pace = Pace()
    assert pace.told() == {}
    pace.add(10, 0.020, deferred=False, done=True)
    assert pace.told() == {"live_us": 2_000}
    pace.add(2, 0.100, deferred=True, done=True)
    assert pace.told() == {"live_us": 2_000, "deferred_us": 50_000}


def test_what_was_longer_ago_counts_less():
    pace = Pace()
    for busy_s in [1.0] + [0.001] * 200:
        pace.add(1, busy_s, deferred=False, done=True)
    assert pace.told()["live_us"] < 2_500


def test_nothing_is_told_while_messages_are_handed_on():
    """Between two messages lies no time then, whatever the work takes."""
    pace = Pace()
    pace.add(1, 0.002, deferred=False, done=True)
    pace.add(1, 0.000_008, deferred=False, done=False)
    assert pace.told() == {}
    pace.add(1, 0.002, deferred=True, done=True)
    assert pace.told() == {"deferred_us": 2_000}
    for _ in range(FADE_AT):
        assert "live_us" not in pace.told()
        pace.add(1, 0.002, deferred=False, done=True)
    assert pace.told()["live_us"] > 1_800


def test_what_is_fetched_ahead_is_live_and_so_is_the_credit():
    pace = Pace()
    pace.add(1, 0.1, deferred=True, done=True)
    assert pace.credit(1) == 0
    pace.add(1, 0.001, deferred=False, done=True)
    assert pace.credit(1) == 30
