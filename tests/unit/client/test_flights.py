"""Outcomes that were refused together: only what cannot be taken is lost."""

from __future__ import annotations

import pytest

from layby._settling import SENDINGS_MAX
from tests.unit.client.consuming import Consuming, taken


def settle_all(messages: list) -> None:
    """Each with an entry of its own."""
    for message in messages:
        message.fail(f"reason {message.text}")


@pytest.mark.parametrize("bad", [{1}, {40}, {17, 18}, set(range(1, 41))])
def test_a_bad_outcome_is_lost_alone(bad):
    it, messages = taken(40)
    it.broker.bad = bad
    settle_all(messages)
    it.world.pass_time(1)
    assert sorted(lost.place + 1 for lost in it.lost) == sorted(bad)
    assert {lost.code for lost in it.lost} == {"bad_request"}
    assert sorted(first for first, _ in it.broker.outcomes("fail")) == sorted({*range(1, 41)} - bad)
    assert it.session.settling.empty
    assert len(it.settles()) <= 2 * 40


def test_a_flush_waits_for_all_parts_of_what_was_refused():
    it, messages = taken(4)
    it.broker.bad = {2}
    settle_all(messages)
    ended: list[int] = []
    [flight] = it.session.settling.leave_all(it.world.now)
    flight.done.append(lambda: ended.append(len(it.broker.settled)))
    it.world.run()
    assert ended == [3]
    assert it.session.settling.flights == []


def test_what_rode_on_a_refused_poll_does_not_end_its_consumer():
    it = Consuming(prefetch=10)
    it.publish(b"a", b"b")
    it.broker.bad = {1}
    it.take().ack()
    it.take().fail("x")
    it.fetch_ahead()
    assert it.polls()[-1]["settle"]
    it.world.pass_time(1)
    assert it.session.failure is None
    assert [lost.place for lost in it.lost] == [0]
    assert it.broker.outcomes("fail") == [[2, 2]]
    it.publish(b"c")
    assert it.take().data == b"c"


def test_a_refusal_for_good_counts_also_after_a_lost_answer():
    """What was sent over a connection that is gone is never answered."""
    it, [message] = taken(1)
    it.world.cut = True
    message.ack()
    it.world.pass_time(0.01)
    it.world.cut = False
    it.broker.refuse("settle", "unknown_group", retryable=False)
    it.world.reconnect()
    assert [lost.code for lost in it.lost] == ["unknown_group"]
    assert it.session.settling.empty
    other, [message] = taken(1)
    other.world.cut = True
    message.ack()
    other.world.pass_time(1)
    other.world.cut = False
    other.broker.refuse("settle", "unknown_group", retryable=False)
    other.world.pass_time(6)
    assert [lost.code for lost in other.lost] == ["unknown_group"]


def test_a_deaf_broker_is_not_listened_for_in_ever_more_ways():
    it, [message] = taken(1)
    it.broker.mute.add("settle")
    message.ack()
    it.world.pass_time(300)
    assert len(it.settles()) > 2 * SENDINGS_MAX
    assert len(it.world.link._handlers) <= SENDINGS_MAX + 2


def test_reasons_are_measured_as_they_are_sent():
    """A request map is 64 KiB at most; a character is up to four bytes."""
    it, messages = taken(200)
    for message in messages:
        message.fail("\N{SNOWBOARDER}" * 256)
    it.world.pass_time(0.1)
    sizes = [sum(len(e["reason"].encode()) + 100 for e in s["settle"]) for s in it.settles()]
    assert max(sizes) <= 50 << 10
    assert len(it.broker.outcomes("fail")) == 200
