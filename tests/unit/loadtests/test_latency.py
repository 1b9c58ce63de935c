from __future__ import annotations

import math

import pytest

from loadtests.latency import latency, percentile


@pytest.mark.parametrize(
    ("share", "value"), [(0.5, 50), (0.99, 99), (0.999, 100), (0.001, 1), (1, 100), (0, 1)]
)
def test_percentile_is_a_value_that_was_measured(share: float, value: int):
    assert percentile(range(1, 101), share) == value


def test_percentile_of_nothing():
    assert math.isnan(percentile([], 0.5))


def test_latency_sorts_and_turns_into_milliseconds():
    found = latency([3_000, 1_000, 2_000])
    assert (found.messages, found.p50, found.p99, found.worst) == (3, 2, 3, 3)
