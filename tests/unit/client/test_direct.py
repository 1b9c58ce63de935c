"""A push over the caller's own connection: what is plain is answered here, the rest is left."""

from __future__ import annotations

import threading

import pytest
import zmq

import layby
from layby._direct import Direct
from layby._sequence import Lone, Number
from layby.errors import BadName, OutcomeUnknown
from tests.unit.client.router import Router


@pytest.fixture
def router():
    with Router() as router:
        yield router


@pytest.fixture
def direct(router):
    context = zmq.Context()
    direct = Direct(context, router.endpoint)
    direct.push("app", Lone({"data": b"unsent"}), 1.0)
    assert direct._dealer is not None
    direct._dealer.monitor.poll(5_000)
    yield direct
    direct.close()
    context.term()


def push(direct: Direct, data: bytes, timeout_s: float = 5.0) -> int | Number | None:
    return direct.push("app", Lone({"data": data}), timeout_s)


def seqs(router) -> list[int]:
    return [request["seq"] for request in router.broker.ops("push")]


def test_the_position_comes_back_and_numbers_count_up(direct, router):
    assert [push(direct, b"a"), push(direct, b"b")] == [1, 2]
    assert seqs(router) == [1, 2]


def test_without_a_connection_it_is_surely_not_sent():
    context = zmq.Context()
    direct = Direct(context, "tcp://127.0.0.1:1")
    assert [push(direct, b"a"), push(direct, b"a")] == [None, None]
    direct.close()
    context.term()


def test_a_silent_broker_leaves_the_number(direct, router):
    router.broker.mute.add("push")
    left = push(direct, b"a", 0.05)
    assert isinstance(left, Number)
    assert left.seq == 1
    assert router.broker.ops("push")[0]["producer"] == left.producer
    assert direct._last.producer != left.producer, "its numbers are used no more"


def test_no_number_is_used_again_after_a_refusal(direct, router):
    router.broker.refuse("push", "bad_name", retryable=False)
    with pytest.raises(BadName):
        push(direct, b"a")
    router.broker.refuse("push", "busy", retryable=True)
    assert direct._dealer is not None
    assert push(direct, b"b") is None
    assert push(direct, b"c") == 1
    producers = [request["producer"] for request in router.broker.ops("push")]
    assert len(set(producers)) == 3
    assert seqs(router) == [1, 1, 1]


def test_answers_to_somebody_else_are_passed_over(direct, router):
    def twice(frames):
        [answer] = handle(frames)
        return [b"\xc1"], [b"\x81\xa2id\xcd\x03\xe7"], answer

    handle, router.broker.handle = router.broker.handle, twice
    assert [push(direct, b"a"), push(direct, b"b")] == [1, 2]


def test_whoever_finds_it_in_use_goes_another_way(direct):
    with direct._mutex:
        assert push(direct, b"a") is None


def test_an_interrupted_push_takes_its_connection_along(direct, router, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    before = direct._last.producer
    monkeypatch.setattr(zmq, "zmq_poll", interrupted)
    with pytest.raises(KeyboardInterrupt):
        push(direct, b"a")
    assert direct._dealer is None
    assert direct._last.producer != before


def test_closed_it_sends_nothing(direct, router):
    direct.close()
    assert push(direct, b"a") is None
    assert not router.broker.ops("push")


# ---- with the machinery behind it


def test_what_it_leaves_is_sent_on_under_its_number_and_stored_once(router):
    """The broker stores the message, but its word is lost."""

    def deaf(frames):
        answers = handle(frames)
        if heard.is_set() or not router.broker.log:
            return answers
        heard.set()
        return []

    heard = threading.Event()
    handle, router.broker.handle = router.broker.handle, deaf
    with layby.connect(router.endpoint) as client:
        direct = client._direct
        direct.push("app", Lone({"data": b"unsent"}), 1.0)
        direct._dealer.monitor.poll(5_000)
        assert client.push("app", b"a") == 1
    assert router.broker.log == [("app", b"a")]
    sent = [(request["producer"], request["seq"]) for request in router.broker.ops("push")]
    assert len(sent) == 2
    assert sent[0] == sent[1]


def test_what_it_leaves_can_end_unknown_and_be_pushed_again(router):
    with layby.connect(router.endpoint) as client:
        direct = client._direct
        direct.push("app", Lone({"data": b"unsent"}), 1.0)
        direct._dealer.monitor.poll(5_000)
        with router.lock:
            router.broker.mute.add("push")
        with pytest.raises(OutcomeUnknown) as caught:
            client.push("app", b"a", timeout=0.05)
        with router.lock:
            router.broker.mute.clear()
        assert client.push_again(caught.value) == 1
    numbers = {(request["producer"], request["seq"]) for request in router.broker.ops("push")}
    assert len(numbers) == 1
