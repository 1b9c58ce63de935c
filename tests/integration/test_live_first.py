"""The measured promises in a short form, as far as they are counts: see loadtests/live_first.py."""

from __future__ import annotations

import pytest

from loadtests.live_first import drain_run, hand_back, live_run

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.mark.parametrize("consumers", [1, 2, 3, 4])
def test_the_defer_queue_is_drained_beside_live_traffic(consumers: int):
    assert drain_run(consumers, deferred=50, within_s=30) < 30


def test_messages_are_not_handed_out_over_and_over():
    assert hand_back(waiting=400, handling_s=0.05)


def test_poison_and_a_full_defer_queue_lose_no_live_message():
    _, totals = live_run(seconds=5, deferred=2_000)
    assert totals["sent"] == 10_000
    assert totals["failed"] >= 100
    assert totals["acked"] - totals["drained"] == 10_000 - 100
