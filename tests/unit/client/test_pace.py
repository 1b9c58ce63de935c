"""How much to ask for, and from when on a message is slow."""

import pytest

from layby._pace import HAND_BACK_AFTER_S, SLOW_FACTOR, Pace


def test_nothing_is_known_before_a_time_is_measured():
    pace = Pace()
    assert pace.credit(4) == 0
    assert pace.slow_s() == HAND_BACK_AFTER_S


def test_the_credit_is_what_the_handlers_do_before_a_hand_back_is_due():
    pace = Pace()
    pace.add(1, 0.001)
    assert pace.credit(4) == pytest.approx(4 * HAND_BACK_AFTER_S / 0.001, abs=1)


def test_slow_is_many_times_the_median_and_never_less_than_the_groups_setting():
    pace = Pace()
    for _ in range(9):
        pace.add(1, 0.020)
    assert pace.slow_s() == pytest.approx(SLOW_FACTOR * 0.020)
    pace.hand_back_after_s = 0.5
    assert pace.slow_s() == 0.5


def test_what_the_broker_says_of_hand_backs_sets_the_credit():
    pace = Pace()
    pace.add(10, 0.010)
    pace.hand_back_after_s = 0.1
    assert pace.credit(1) == 100
