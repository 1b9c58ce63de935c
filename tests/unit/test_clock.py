"""Layby time: never back, never before what was recorded."""

from laybyd.clock import LaybyClock, monotonic_us, wall_us


class Hands:
    def __init__(self, now_us: int) -> None:
        self.now_us = now_us

    def __call__(self) -> int:
        return self.now_us


def test_layby_time_starts_at_the_wall_and_moves_with_the_monotonic_clock():
    wall, monotonic = Hands(1_000_000), Hands(77)
    clock = LaybyClock(wall=wall, monotonic=monotonic)
    assert clock.now_us() == 1_000_000
    monotonic.now_us += 5
    assert clock.now_us() == 1_000_005


def test_a_wall_clock_that_is_set_does_not_move_layby_time():
    wall, monotonic = Hands(1_000_000), Hands(77)
    clock = LaybyClock(wall=wall, monotonic=monotonic)
    wall.now_us = 5
    assert clock.now_us() == 1_000_000


def test_a_start_in_the_past_goes_on_from_the_last_recorded_time():
    clock = LaybyClock(9_000_000, wall=Hands(1_000), monotonic=Hands(0))
    assert clock.now_us() == 9_000_000


def test_the_real_clocks_are_in_microseconds():
    assert wall_us() > 1_700_000_000_000_000
    first = monotonic_us()
    assert 0 <= monotonic_us() - first < 60_000_000
