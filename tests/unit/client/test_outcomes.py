"""Outcomes: one each, merged on their way, sent until they are durable; and `with`."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

import pytest

from layby.errors import AlreadySettled
from tests.unit.client.consuming import Consuming, batch_of, entries, sent, taken

# ---- on their way


def test_an_outcome_leaves_within_five_milliseconds():
    it, [message] = taken(1)
    message.ack()
    it.world.pass_time(0.004)
    assert it.broker.settled == []
    it.world.pass_time(0.0011)
    assert it.broker.outcomes("ack") == [[1, 1]]
    assert len(it.settles()) == 1


def test_an_outcome_rides_on_a_poll_ahead_of_need():
    it = Consuming()
    it.publish(b"a", b"b")
    it.take().ack()
    it.fetch_ahead()
    assert it.polls()[1]["settle"][0]["outcome"] == "ack"
    it.world.pass_time(1)
    assert it.settles() == []


def test_an_outcome_goes_before_the_poll_of_an_idle_handler():
    """A poll that carries outcomes is answered only when they are durable."""
    it = Consuming()
    it.publish(b"a", b"b")
    it.take().ack()
    it.idle()
    assert [request["op"] for request in it.broker.requests] == ["poll", "settle", "poll"]
    assert "settle" not in it.polls()[-1]


def test_neighbours_with_the_same_outcome_share_a_range():
    it, messages = taken(8)
    for message in messages[:5]:
        message.ack()
    messages[6].reject("no")
    messages[7].ack()
    assert sent(it) == [("ack", [1, 5, 8, 8]), ("reject", [7, 7])]


def test_acks_out_of_order_are_ranges_in_order():
    it, messages = taken(6)
    for index in (5, 0, 3, 1, 4, 2):
        messages[index].ack()
    assert sent(it) == [("ack", [1, 6])]


def test_single_fails_never_share_a_range():
    it, messages = taken(3)
    for message in messages:
        message.fail("bad")
    assert sent(it) == [("fail", [n, n]) for n in (1, 2, 3)]


def test_defer_and_reasons():
    it, [one, two] = taken(2)
    one.defer(timedelta(minutes=1), "later")
    two.release()
    [deferred] = entries(it, "defer")
    assert (deferred["delay_ms"], deferred["reason"]) == (60_000, "later")
    [released] = entries(it, "release")
    assert "started" not in released


def test_a_long_reason_is_cut_between_characters():
    it, [message] = taken(1)
    message.fail("ü" * 2_000)
    [entry] = entries(it, "fail")
    assert entry["reason"] == "ü" * 512


def test_many_outcomes_leave_in_several_requests():
    it, messages = taken(500)
    for message in messages:
        message.fail("r" * 500)
    it.world.pass_time(0.01)
    assert len(it.broker.outcomes("fail")) == 500
    assert len(it.settles()) > 3


def test_a_settle_without_answer_is_sent_again():
    it, [message] = taken(1)
    it.broker.mute.add("settle")
    message.ack()
    it.world.pass_time(1)
    it.broker.mute.clear()
    it.world.pass_time(5)
    assert it.broker.outcomes("ack") == [[1, 1]]
    assert it.session.settling.empty


def test_a_new_connection_sends_what_is_not_confirmed():
    it, [message] = taken(1)
    it.broker.mute.add("settle")
    message.ack()
    it.world.pass_time(0.01)
    it.broker.mute.clear()
    it.world.reconnect()
    assert it.broker.outcomes("ack") == [[1, 1]]


def test_a_refused_poll_did_not_take_what_rode_on_it():
    it = Consuming()
    it.publish(b"a", b"b")
    message = it.take()
    message.ack()
    it.broker.refuse("poll", "busy", retryable=True, retry_ms=20)
    it.fetch_ahead()
    it.world.pass_time(0.1)
    assert it.broker.outcomes("ack") == [[1, 1]]


def test_a_settle_refused_for_good_is_lost():
    it, [message] = taken(1)
    it.broker.refuse("settle", "unknown_group", retryable=False)
    message.ack()
    it.world.pass_time(0.01)
    assert [lost.code for lost in it.lost] == ["unknown_group"]
    assert it.session.settling.empty


def test_a_refused_outcome_is_told_for_its_message():
    it, messages = taken(3)
    it.broker.lost[2] = "lease_lost"
    messages[0].ack()
    messages[1].fail("x")
    it.world.pass_time(0.01)
    assert [(lost.place, lost.code) for lost in it.lost] == [(1, "lease_lost")]
    assert it.broker.outcomes("ack") == [[1, 1]]


def test_flushing_sends_again_what_rides_on_a_parked_poll():
    it = Consuming()
    it.publish(b"a")
    it.take().ack()
    it.fetch_ahead()
    assert it.polls()[-1]["settle"]
    [flight] = it.session.settling.leave_all(it.world.now)
    it.world.run()
    assert len(it.settles()) == 1
    assert it.session.settling.flights == []
    assert flight.entries[0]["ranges"] == [1, 1]


# ---- one each


def test_the_same_outcome_twice_is_one():
    it, [message] = taken(1)
    message.ack()
    message.ack()
    assert sent(it) == [("ack", [1, 1])]


def test_a_second_different_outcome_raises_and_the_first_stands():
    it, [message] = taken(1)
    message.fail("x")
    with pytest.raises(AlreadySettled, match="fail"):
        message.ack()
    assert sent(it) == [("fail", [1, 1])]


# ---- with message


def test_leaving_acks():
    it, [message] = taken(1)
    with message as entered:
        assert entered is message
    assert sent(it) == [("ack", [1, 1])]


def test_leaving_early_acks_too():
    it, messages = taken(2)
    for message in messages:
        with message:
            if message.data == b"0":
                continue
            break
    assert sent(it) == [("ack", [1, 2])]


def test_an_exception_fails_it_is_logged_and_swallowed(caplog):
    it, [message] = taken(1)
    with caplog.at_level(logging.ERROR), message:
        raise ValueError("poison")
    [entry] = entries(it, "fail")
    assert entry["reason"] == "ValueError: poison"
    assert "poison" in caplog.text
    assert "Traceback" in caplog.text


def test_on_error_raise_fails_it_and_raises():
    it, [message] = taken(1, on_error="raise")
    with pytest.raises(ValueError, match="poison"), message:
        raise ValueError("poison")
    assert sent(it) == [("fail", [1, 1])]


def test_an_explicit_outcome_stands_over_an_exception(caplog):
    it, [message] = taken(1)
    with message:
        message.defer(1)
        raise ValueError("after the fact")
    assert [kind for kind, _ in sent(it)] == ["defer"]
    assert "after the fact" in caplog.text


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError]
)
def test_what_ends_the_program_releases_and_goes_on(error):
    it, [message] = taken(1)
    with pytest.raises(error), message:
        raise error
    assert sent(it) == [("release", [1, 1])]


def test_on_error_is_one_of_two():
    with pytest.raises(ValueError, match="continue"):
        Consuming(on_error="ignore")


# ---- with batch


def test_leaving_a_batch_acks_what_has_no_outcome():
    it, batch = batch_of(5)
    with batch:
        batch.messages[1].fail("x")
        batch.messages[3].defer(5)
    assert sorted(sent(it)) == [("ack", [1, 1, 3, 3, 5, 5]), ("defer", [4, 4]), ("fail", [2, 2])]


def test_an_exception_fails_the_rest_of_a_batch_as_ranges(caplog):
    it, batch = batch_of(9)
    with batch:
        batch.messages[0].ack()
        batch.messages[4].ack()
        raise OSError("disk")
    assert sorted(sent(it)) == [("ack", [1, 1, 5, 5]), ("fail", [2, 4, 6, 9])]
    assert "disk" in caplog.text


def test_a_single_message_that_failed_in_company_is_not_counted(caplog):
    it, batch = batch_of(5)
    with batch:
        batch.messages[1].ack()
        raise OSError("disk")
    assert sorted(sent(it)) == [("ack", [2, 2]), ("defer", [1, 1]), ("fail", [3, 5])]
    [deferred] = entries(it, "defer")
    assert (deferred["delay_ms"], deferred["reason"]) == (0, "OSError: disk")


def test_the_last_one_left_in_a_batch_fails_for_itself(caplog):
    it, batch = batch_of(2)
    with batch:
        batch.messages[0].ack()
        raise OSError("disk")
    assert sorted(sent(it)) == [("ack", [1, 1]), ("fail", [2, 2])]


def test_batch_outcomes_for_all():
    for name, args in [("ack", ()), ("release", ()), ("reject", ("no",)), ("defer", (3,))]:
        it, batch = batch_of(3)
        getattr(batch, name)(*args)
        getattr(batch, name)(*args)
        assert sent(it) == [(name, [1, 3])]


def test_an_interrupted_batch_is_released():
    it, batch = batch_of(3)
    with pytest.raises(KeyboardInterrupt), batch:
        raise KeyboardInterrupt
    assert sent(it) == [("release", [1, 3])]


# ---- what a message knows


def test_a_message_shows_what_its_lease_says():
    it = Consuming()
    line = {"at_us": 2_000_000, "reason": "boom", "consumer": "c", "counted": True}
    it.broker.grant_fields = {
        "lane": "deferred", "attempts": [2], "deliveries": [3], "history": [[line]], "alone": True,
    }  # fmt: skip
    it.publish("grün".encode())
    message = it.take()
    assert (message.text, message.topic, message.position) == ("grün", "app", 1)
    assert (message.attempts, message.deliveries, message.lane) == (2, 3, "deferred")
    assert message.alone
    assert message.history == [(2.0, "boom", "c", True)]
    assert message.timestamp == 1_700_000_000.0
    assert repr(message) == "<Message app 1>"


def test_a_fresh_message_has_no_past():
    _it, [message] = taken(1)
    assert (message.attempts, message.deliveries, message.lane) == (0, 1, "live")
    assert message.history == []
    assert (message.key, message.headers) == (None, {})


def test_bad_utf8_is_replaced():
    it = Consuming()
    it.publish(b"a\xff")
    assert it.take().text == "a\N{REPLACEMENT CHARACTER}"
