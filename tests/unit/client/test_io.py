"""The I/O thread: what goes wrong on it is one part's trouble, and its end is everybody's news."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future

import pytest

import layby
from layby._sequence import Limits
from layby.errors import BadRequest, Closed, OutcomeUnknown, PushFailed, TimedOut
from tests.unit.client.consuming import block
from tests.unit.client.router import Router

PATIENCE_S = 10.0
"""Nobody waits so long unless something hangs."""


@pytest.fixture
def router():
    with Router() as router:
        yield router


@pytest.fixture
def client(router):
    with layby.connect(router.endpoint) as client:
        yield client


class Waiting:
    """A call in a thread of its own."""

    def __init__(self, call: Callable[[], object]) -> None:
        self.result: Future[object] = Future()
        self._call = call
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            self.result.set_result(self._call())
        except BaseException as error:
            self.result.set_exception(error)

    def error(self) -> BaseException | None:
        return self.result.exception(PATIENCE_S)


def end_the_thread(client: layby.Client) -> None:
    client._io.call(lambda: 1 / 0)
    client._io._thread.join(PATIENCE_S)
    assert not client._io._thread.is_alive()


def until(condition: Callable[[], object]) -> None:
    """What another thread does has no event of its own."""
    for _ in range(int(PATIENCE_S * 1e3)):
        if condition():
            return
        threading.Event().wait(0.001)
    raise AssertionError("it does not come to that")


def full(producer) -> None:
    """One block is under way, and there is no room for another."""
    producer._pusher.limits = Limits(pushes=1)
    producer.send(b"first")
    Waiting(producer.flush)
    until(lambda: producer._flushing)


# ---- its end


def test_whoever_waits_is_told(router, client, caplog):
    router.broker.mute |= {"status", "push"}
    consumer, reader = client.consume("app", group="g"), client.read("app", start=1)
    producer, crowded = client.producer("app"), client.producer("app")
    producer.send(b"x")
    full(crowded)
    waiting = {
        "request": Waiting(lambda: client.request("status", timeout=60)),
        "next": Waiting(lambda: next(consumer)),
        "read": Waiting(lambda: next(reader)),
        "flush": Waiting(producer.flush),
        "room": Waiting(lambda: crowded.send_many([b"x" * 60_000] * 3)),
    }
    until(lambda: len(router.broker.ops("push")) == 2)
    until(lambda: producer._flushing and crowded._held and consumer._session.waiting)
    end_the_thread(client)
    errors = {name: each.error() for name, each in waiting.items()}
    for name in ("request", "next", "read", "room"):
        assert isinstance(errors[name], Closed), name
        assert isinstance(errors[name].__cause__, ZeroDivisionError)
    assert isinstance(errors["flush"], PushFailed)
    assert isinstance(errors["flush"].failed[0].error, OutcomeUnknown)
    assert crowded.unconfirmed == 0


def test_whatever_is_called_from_then_on_says_so_and_close_returns(router, caplog):
    client = layby.connect(router.endpoint)
    consumer, producer = client.consume("app", group="g"), client.producer("app")
    router.broker.publish("app", block(b"a"))
    message = next(consumer)
    end_the_thread(client)
    message.ack()
    for call in (
        lambda: client.request("status", timeout=60),
        lambda: client.push("app", b"x"),
        lambda: client.consume("app", group="g"),
        lambda: client.producer("app"),
        lambda: client.read("app"),
        lambda: client.push_again(OutcomeUnknown()),
        lambda: producer.send(b"x"),
        lambda: producer.send_many([b"x"]),
        lambda: next(consumer),
        consumer.flush,
    ):
        error = Waiting(call).error()
        assert isinstance(error, Closed)
        assert "I/O thread" in str(error)
    producer.flush()
    assert Waiting(lambda: client.close(60)).error() is None


def test_a_block_that_was_still_open_fails_with_it(router, client, caplog):
    router.broker.mute.add("push")
    producer = client.producer("app", linger=60)
    first = producer.send(b"under way")
    until(lambda: router.broker.ops("push"))
    second = producer.send(b"still open")
    end_the_thread(client)
    assert isinstance(first.exception(PATIENCE_S), OutcomeUnknown)
    assert isinstance(second.exception(PATIENCE_S), Closed)
    with pytest.raises(PushFailed) as caught:
        producer.flush()
    assert [block.messages for block in caught.value.failed] == [[b"under way"], [b"still open"]]


# ---- one part's trouble


@pytest.mark.parametrize("field", ["caf\udce9", object(), 1 << 70, {1: {2: {3: set()}}}])
def test_a_request_that_cannot_be_encoded_is_refused(client, field):
    with pytest.raises(BadRequest, match="status cannot be encoded"):
        client.request("status", field=field)
    assert client.request("status")["state"] == "serving"


def test_a_consumer_whose_polls_cannot_be_encoded_ends_alone(router, client):
    with client.consume("app", group="g", prefetch=1 << 70) as consumer:
        assert isinstance(Waiting(lambda: next(consumer)).error(), BadRequest)
    router.broker.publish("app", block(b"a"))
    with client.consume("app", group="g") as consumer:
        assert next(consumer).data == b"a"


def test_a_block_that_cannot_be_made_fails_alone(client, monkeypatch):
    """Every message is checked before; should a check be missing, the others go on."""
    monkeypatch.setattr("layby._batcher.as_stamp", lambda stamp: stamp)
    producer = client.producer("app")
    future = producer.send(b"bad", timestamp=-1)
    assert future.exception(PATIENCE_S).code == "bad_block"
    assert producer.send(b"good").result(PATIENCE_S) == 1
    with pytest.raises(PushFailed) as caught:
        producer.flush()
    assert [block.messages for block in caught.value.failed] == [[b"bad"]]


def test_a_chore_that_raises_ends_alone(client, monkeypatch, caplog):
    broken, other = client.producer("app"), client.producer("app")
    monkeypatch.setattr(broken, "run", lambda now: 1 / 0)
    future = broken.send(b"x")
    assert isinstance(future.exception(PATIENCE_S), Closed)
    assert other.send(b"x").result(PATIENCE_S) == 1
    with pytest.raises(Closed):
        broken.send(b"y")
    assert "ZeroDivisionError" in caplog.text


# ---- calls that wait, on the thread they wait for


def calls_that_wait(client, producer, consumer, reader) -> list[Callable[[], object]]:
    return [
        lambda: client.request("status"), lambda: client.push("app", b"x"), client.close,
        lambda: client.push_again(OutcomeUnknown()), lambda: producer.send(b"x"),
        lambda: producer.send_many([b"x"]), producer.flush, producer.close,
        lambda: next(consumer), lambda: next(consumer.batches()), consumer.flush, consumer.close,
        lambda: next(reader),
    ]  # fmt: skip


def test_a_callback_is_told_not_to_wait(client):
    producer, reader = client.producer("app"), client.read("app", start=1)
    consumer = client.consume("app", group="g")
    told: Future[list] = Future()

    def call_all(_: object) -> None:
        errors = []
        for call in calls_that_wait(client, producer, consumer, reader):
            try:
                call()
            except RuntimeError as error:
                errors.append(str(error))
        told.set_result(errors)

    producer.send(b"x").add_done_callback(call_all)
    errors = told.result(PATIENCE_S)
    assert len(errors) == len(calls_that_wait(client, producer, consumer, reader))
    assert all("a thread of your own" in error for error in errors)
    assert client.request("status")["state"] == "serving"


# ---- no room


def test_a_flush_keeps_its_time_while_a_thread_waits_for_room(router, client):
    router.broker.mute.add("push")
    producer = client.producer("app")
    full(producer)
    sender = Waiting(lambda: producer.send_many([b"x" * 60_000] * 3))
    until(lambda: producer._held)
    with pytest.raises(TimedOut, match="room"):
        producer.flush(0.01)
    assert producer.unconfirmed >= 2
    with pytest.raises(TimedOut):
        producer.close(0.01)
    assert isinstance(sender.error(), Closed)
    assert producer.unconfirmed == 0


def test_a_flush_does_not_wait_for_room_itself(router, client):
    router.broker.mute.add("push")
    producer = client.producer("app", linger=60)
    full(producer)
    producer.send(b"open")
    with pytest.raises(TimedOut, match="2 blocks"):
        producer.flush(0.01)
    with pytest.raises(TimedOut):
        producer.close(0)


def test_an_empty_producer_is_not_due_for_ever(client):
    """A confirm may come just when the block it would let go has left by itself."""
    producer = client.producer("app")
    producer._due = 0.0
    client._io.wake()
    until(lambda: producer._due != 0.0)
    assert producer._due == float("inf")


def test_no_poll_comes_behind_the_goodbye(router, client, caplog):
    """The one that takes back was refused, and would be sent again while the goodbye is waited
    for."""
    consumer = client.consume("app", group="g")
    waiting = Waiting(lambda: next(consumer))
    until(lambda: router.broker.ops("poll"))
    router.broker.refuse("poll", "busy", retryable=True, retry_ms=1, times=100)
    router.broker.mute.add("goodbye")
    consumer.close(timeout=0.2)
    assert isinstance(waiting.error(), StopIteration)
    ops = [request["op"] for request in router.broker.requests]
    assert ops.count("poll") == 2
    assert "poll" not in ops[ops.index("goodbye") :]
