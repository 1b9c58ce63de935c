"""A session that stops: what is not started goes back, and what is on its way."""

from __future__ import annotations

import pytest

from tests.unit.client.consuming import Consuming


def test_stopping_gives_back_what_is_not_started_and_takes_the_poll_back():
    it = Consuming(prefetch=10)
    it.publish(*(b"%d" % n for n in range(5)))
    message = it.take()
    it.session.filling = 1
    it.world.run()
    it.session.stop(it.world.now)
    it.world.run()
    message.ack()
    it.world.pass_time(0.01)
    assert [poll["messages"] for poll in it.polls()][-2:] == [6, 0]
    released = [entry for kind, _, entry in it.broker.settled if kind == "release"]
    assert [(e["ranges"], e["started"]) for e in released] == [([2, 5], False)]
    assert it.broker.outcomes("ack") == [[1, 1]]


@pytest.mark.parametrize("code", ["busy", "too_large"])
def test_a_poll_that_takes_back_is_sent_until_it_is_heard(code):
    """What is on its way to it would be nobody's until its lease ends."""
    it = Consuming(prefetch=10)
    it.publish(b"a")
    message = it.take()
    it.session.filling = 1
    it.world.run()
    message.ack()
    it.broker.refuse("poll", code, retryable=code == "busy", retry_ms=40)
    before = len(it.polls())
    it.session.stop(it.world.now)
    it.world.run()
    it.world.pass_time(0.05 if code == "busy" else 0.2)
    first, again = it.polls()[before:]
    assert (first["messages"], again["messages"]) == (0, 0)
    assert again["n"] == first["n"]
    assert "settle" in first
    assert "settle" not in again
    it.world.pass_time(60)
    assert len(it.polls()) == before + 2
    assert it.session.failure is None
    assert it.broker.outcomes("ack") == ([[1, 1]] if code == "busy" else [])


def test_nothing_is_polled_behind_a_goodbye():
    """Which gives everything back; a poll behind it would make the session anew."""
    it = Consuming(prefetch=10)
    it.publish(b"a")
    it.take()
    it.broker.refuse("poll", "busy", retryable=True, retry_ms=40)
    it.session.stop(it.world.now)
    it.world.run()
    before = len(it.polls())
    it.session.part()
    it.world.pass_time(60)
    assert len(it.polls()) == before


def test_what_an_answer_that_was_lost_brought_is_taken_back_too():
    it = Consuming(prefetch=10)
    it.broker.refuse("poll", "busy", retryable=True, retry_ms=60_000)
    it.world.run()
    assert [poll["n"] for poll in it.polls()] == [1]
    it.session.stop(it.world.now)
    it.world.run()
    assert [(poll["n"], poll["messages"]) for poll in it.polls()[1:]] == [(2, 0)]


def test_a_poll_that_is_taken_back_is_listened_for_no_longer_once_the_connection_is_gone():
    it = Consuming(prefetch=10)
    it.world.run()
    it.broker.mute.add("poll")
    it.session.stop(it.world.now)
    it.world.run()
    first, back = (poll["id"] for poll in it.polls())
    it.world.reconnect()
    assert first not in it.world.link._handlers
    assert back in it.world.link._handlers, "it is sent again, and any sending may be answered"
    it.session.part()
    it.world.reconnect()
    assert back not in it.world.link._handlers
