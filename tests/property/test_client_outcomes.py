"""Whatever is settled in whatever order: each message's outcome is sent, and sent once per try."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.client.consuming import Consuming

OUTCOMES = ["ack", "fail", "defer", "release", "reject"]


@given(st.permutations(range(12)), st.lists(st.sampled_from(OUTCOMES), min_size=12, max_size=12),
       st.sets(st.integers(0, 11)))  # fmt: skip
def test_every_outcome_arrives_as_it_was_given(order, outcomes, pauses):
    it = Consuming(prefetch=100)
    it.publish(*(b"%d" % n for n in range(12)))
    it.session.waiting = 0
    it.world.run()
    messages = [it.take() for _ in range(12)]
    for step, index in enumerate(order):
        getattr(messages[index], outcomes[index])()
        if step in pauses:
            it.world.pass_time(0.006)
    it.world.pass_time(0.1)
    arrived: dict[int, str] = {}
    seen: Counter[int] = Counter()
    for outcome, ranges, _ in it.broker.settled:
        assert ranges == sorted(ranges)
        for low, high in zip(ranges[::2], ranges[1::2], strict=True):
            assert outcome != "fail" or low == high
            for position in range(low, high + 1):
                arrived[position] = outcome
                seen[position] += 1
    assert arrived == {index + 1: outcome for index, outcome in enumerate(outcomes)}
    assert set(seen.values()) == {1}
    assert not it.session.progress.leases
    assert not it.session.progress.out


@given(st.lists(st.tuples(st.integers(1, 9), st.booleans()), min_size=1, max_size=8),
       st.integers(1, 20))  # fmt: skip
def test_batches_hold_every_message_once_and_in_order(blocks, size):
    it = Consuming(prefetch=100)
    total = 0
    for count, pause in blocks:
        it.publish(*(b"%d" % n for n in range(total, total + count)))
        total += count
        if pause:
            it.session.waiting, it.session.filling = 0, 1
            it.world.run()
    it.session.waiting, it.session.filling = 0, 1
    found = []
    for _ in range(100):
        it.world.run()
        batch = it.take_batch(messages=size)
        assert len(batch) <= size
        with batch:
            found += batch.data
        if len(found) == total:
            break
    assert found == [b"%d" % n for n in range(total)]
