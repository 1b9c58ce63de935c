"""Sequences against a broker that refuses, forgets, restarts and loses connections."""

from __future__ import annotations

import pytest

from layby import _block
from layby._pusher import Pusher
from layby._sequence import Limits, Lone
from layby.errors import BadRequest, Closed, OutcomeUnknown, StoreFull, TooLarge, Unreachable
from tests.unit.client.world import World


class Producing:
    def __init__(self, limits: Limits | None = None) -> None:
        self.world = World()
        self.pusher = Pusher(self.world.link, limits or Limits())
        self.results: dict[bytes, object] = {}

    def push(self, data: bytes, *, timeout: float = 30.0, block: bool = False):
        body = _block.build([data]) if block else Lone({"data": data})
        return self.pusher.add(
            "app", body, 1, len(data), self.world.now + timeout,
            lambda result: self.results.__setitem__(data, result),
        )  # fmt: skip

    @property
    def stored(self) -> list[bytes]:
        return [body for _, body in self.world.broker.log]

    def seqs(self) -> list[int]:
        return [request["seq"] for request in self.world.broker.ops("push")]

    def producers(self) -> list[bytes]:
        return list(dict.fromkeys(r["producer"] for r in self.world.broker.ops("push")))


@pytest.fixture
def it() -> Producing:
    return Producing()


def test_pushes_are_numbered_from_one_and_confirmed(it):
    for data in (b"a", b"b", b"c"):
        it.push(data, block=data == b"b")
    it.world.run()
    assert it.seqs() == [1, 2, 3]
    assert it.results == {b"a": 1, b"b": 2, b"c": 3}
    assert (it.pusher.pushes, it.pusher.size, it.world.link.flight_bytes) == (0, 0, 0)


def test_without_a_connection_nothing_is_queued_for_it_and_all_goes_out_later(it):
    it.world.link.disconnected()
    it.push(b"a")
    it.world.run()
    assert not it.world.link.outbox
    it.world.reconnect()
    assert it.results == {b"a": 1}


def test_a_lost_connection_resends_under_the_same_numbers(it):
    it.world.cut = True
    it.push(b"a")
    it.push(b"b")
    it.world.run()
    it.world.cut = False
    it.world.reconnect()
    assert it.results == {b"a": 1, b"b": 2}
    assert len(it.producers()) == 1


def test_a_lost_answer_does_not_store_twice(it):
    it.push(b"a")
    it.world.link.advance(it.world.now)
    it.world.broker.handle(it.world.link.outbox.popleft())
    it.world.reconnect()
    assert it.results == {b"a": 1}
    assert it.stored == [b"a"]


def test_a_busy_broker_gets_them_again_in_order_after_its_time(it):
    it.world.broker.refuse("push", "busy", retryable=True, retry_ms=200)
    for data in (b"a", b"b", b"c"):
        it.push(data)
    it.world.run()
    assert it.results == {}
    it.world.pass_time(0.1)
    assert it.results == {}
    it.world.pass_time(0.2)
    assert it.stored == [b"a", b"b", b"c"]
    assert it.results == {b"a": 1, b"b": 2, b"c": 3}


def test_what_is_added_while_waiting_stays_behind(it):
    it.world.broker.refuse("push", "quiescing", retryable=True, retry_ms=50)
    it.push(b"a")
    it.world.run()
    it.push(b"b")
    it.world.pass_time(1)
    assert it.stored == [b"a", b"b"]


def test_a_push_that_cannot_be_taken_leaves_its_id_to_the_confirmed(it):
    it.push(b"a")
    it.world.run()
    it.world.broker.refuse("push", "too_large", retryable=False)
    it.push(b"b")
    it.push(b"c")
    it.world.run()
    it.world.pass_time(1)
    assert isinstance(it.results[b"b"], TooLarge)
    assert it.stored == [b"a", b"c"]
    assert len(it.producers()) == 2


def test_a_push_that_cannot_be_encoded_fails_alone(it):
    it.push(b"a")
    it.pusher.add("app", Lone({"data": "\udce9"}), 1, 1, it.world.now + 30,
                  lambda result: it.results.__setitem__(b"bad", result))  # fmt: skip
    it.push(b"c")
    it.world.run()
    it.world.pass_time(1)
    assert isinstance(it.results[b"bad"], BadRequest)
    assert it.stored == [b"a", b"c"]
    assert it.world.link.flight_bytes == 0


def test_no_answer_in_time_is_unknown_for_it_and_what_follows(it):
    it.world.broker.mute.add("push")
    it.push(b"a", timeout=10)
    it.push(b"b", timeout=1)
    it.push(b"c", timeout=20)
    it.world.pass_time(2)
    assert isinstance(it.results[b"b"], OutcomeUnknown)
    assert isinstance(it.results[b"c"], OutcomeUnknown)
    assert b"a" not in it.results
    it.world.broker.mute.clear()
    it.push(b"d")
    it.world.run()
    assert it.results[b"d"] == 1
    assert len(it.producers()) == 2


def test_a_push_with_unknown_outcome_is_pushed_again_under_its_old_number(it):
    it.world.broker.mute.add("push")
    for data in (b"a", b"b", b"c"):
        it.push(data, timeout=1)
    it.world.pass_time(2)
    it.world.broker.mute.clear()
    answers = []
    error = it.results[b"b"]
    assert it.pusher.add_again(error, it.world.now + 5, answers.append)
    it.world.run()
    assert it.stored == [b"a", b"b"]
    assert answers == [2]
    assert len(it.producers()) == 1
    assert not it.pusher.add_again(error, it.world.now + 5, answers.append)
    assert it.pusher.add_again(it.results[b"c"], it.world.now + 5, answers.append)
    it.world.run()
    assert it.stored == [b"a", b"b", b"c"]


def test_pushing_again_what_was_stored_does_not_store_it_twice(it):
    it.push(b"a", timeout=1)
    it.world.link.advance(it.world.now)
    it.world.broker.handle(it.world.link.outbox.popleft())
    it.world.pass_time(2)
    answers = []
    it.pusher.add_again(it.results[b"a"], it.world.now + 5, answers.append)
    it.world.run()
    assert answers == [1]
    assert it.stored == [b"a"]


def test_a_push_that_was_always_refused_says_why(it):
    it.world.broker.refuse("push", "store_full", retryable=True, times=100, retry_ms=300)
    it.push(b"a", timeout=1)
    it.push(b"b", timeout=10)
    it.world.pass_time(1.1)
    assert isinstance(it.results[b"a"], StoreFull)
    it.world.broker.refusals.clear()
    it.world.pass_time(1)
    assert it.stored == [b"b"]


def test_a_push_that_never_left_is_unreachable_not_unknown(it):
    it.world.link.disconnected()
    it.push(b"a", timeout=1)
    it.world.pass_time(2)
    assert isinstance(it.results[b"a"], Unreachable)


def test_a_broker_that_forgot_us_gets_a_new_id(it):
    it.push(b"a")
    it.world.run()
    it.world.broker.producers.clear()
    it.push(b"b")
    it.world.run()
    it.world.pass_time(1)
    assert it.results[b"b"] == 2
    assert len(it.producers()) == 2


def test_a_broker_that_forgot_us_while_a_push_was_lost_makes_it_unknown(it):
    it.push(b"a")
    it.world.run()
    it.world.cut = True
    it.push(b"b")
    it.world.run()
    it.world.cut = False
    it.world.broker.producers.clear()
    it.world.reconnect()
    assert isinstance(it.results[b"b"], OutcomeUnknown)


def test_the_window_bounds_pushes_and_bytes():
    it = Producing(Limits(pushes=4, bytes=1_000))
    it.world.broker.mute.add("push")
    for number in range(10):
        it.push(b"%d" % number)
    it.world.run()
    assert it.seqs() == [1, 2, 3, 4]
    assert not it.pusher.has_room
    it = Producing(Limits(pushes=100, bytes=1_000))
    it.world.broker.mute.add("push")
    for number in range(10):
        it.push(b"%d" % number * 300)
    it.world.run()
    assert it.seqs() == [1, 2, 3]


def test_one_push_larger_than_the_window_goes_alone():
    it = Producing(Limits(bytes=100))
    it.push(b"x" * 500)
    it.push(b"y" * 500)
    it.world.run()
    assert len(it.stored) == 2


def test_a_reboot_of_the_broker_keeps_numbers(it):
    it.push(b"a")
    it.world.run()
    it.world.broker.reboot()
    it.push(b"b")
    it.world.run()
    assert it.results == {b"a": 1, b"b": 2}


def test_closing_tells_what_is_known(it):
    it.world.broker.mute.add("push")
    it.push(b"a")
    it.world.run()
    it.world.link.disconnected()
    it.push(b"b")
    it.pusher.close()
    assert isinstance(it.results[b"a"], OutcomeUnknown)
    assert isinstance(it.results[b"b"], Closed)


def test_silence_makes_it_send_again_with_growing_patience(it):
    it.world.broker.mute.add("push")
    it.push(b"a", timeout=100)
    it.world.pass_time(4.9)
    assert it.seqs() == [1]
    it.world.pass_time(0.2)
    assert it.seqs() == [1, 1]
    it.world.pass_time(9)
    assert it.seqs() == [1, 1]
    it.world.broker.mute.clear()
    it.world.pass_time(2)
    assert it.results == {b"a": 1}
    assert it.stored == [b"a"]


def test_a_refusal_for_good_after_a_lost_answer_is_unknown(it):
    it.world.deaf = True
    it.push(b"a")
    it.push(b"b")
    it.world.run()
    it.world.deaf = False
    it.world.broker.refuse("push", "not_allowed", retryable=False)
    it.world.reconnect()
    assert all(isinstance(it.results[data], OutcomeUnknown) for data in (b"a", b"b"))
    assert "not_allowed" in str(it.results[b"a"])
    assert it.stored == [b"a", b"b"]


def test_a_refusal_that_looked_at_the_sequence_is_certain(it):
    it.world.cut = True
    it.push(b"a")
    it.world.run()
    it.world.cut = False
    it.world.broker.refuse("push", "not_allowed", retryable=False, expected=1)
    it.world.reconnect()
    assert it.results[b"a"].code == "not_allowed"
