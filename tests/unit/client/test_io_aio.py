"""The I/O of an async client: what goes wrong is one part's trouble, its end everybody's news."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable

import pytest

import layby.aio
from layby._sequence import Limits
from layby.errors import BadRequest, Closed, OutcomeUnknown, PushFailed, TimedOut
from tests.unit.client.consuming import block
from tests.unit.client.router import Router

PATIENCE_S = 10.0


@pytest.fixture
def router():
    with Router() as router:
        yield router


def in_a_loop(test):
    @functools.wraps(test)
    def run(router, caplog) -> None:
        async def main() -> None:
            async with layby.aio.connect(router.endpoint) as client:
                await asyncio.wait_for(test(router, client), 2 * PATIENCE_S)

        asyncio.run(main())

    del run.__wrapped__
    return run


async def until(condition: Callable[[], object]) -> None:
    for _ in range(1_000_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it does not come to that")


async def error_of(awaitable) -> BaseException | None:
    try:
        await asyncio.wait_for(awaitable, PATIENCE_S)
    except Exception as error:
        return error
    return None


async def full(producer):
    """One block is under way, and there is no room for another."""
    producer._pusher.limits = Limits(pushes=1)
    await producer.send(b"first")
    task = asyncio.ensure_future(error_of(producer.flush()))
    await until(lambda: producer._flushing)
    return task


def end_the_io(client) -> None:
    client._io._link.advance = lambda now: 1 / 0
    client._io._turn()


@in_a_loop
async def test_whoever_waits_is_told(router, client):
    router.broker.mute |= {"status", "push"}
    consumer, reader = client.consume("app", group="g"), client.read("app", start=1)
    producer, lingering = client.producer("app"), client.producer("app", linger=60)
    flushing = await full(producer)
    await lingering.send(b"under way")
    await until(lambda: len(router.broker.ops("push")) == 2)
    still_open = await lingering.send(b"still open")
    waiting = [
        asyncio.ensure_future(error_of(call))
        for call in (
            client.request("status", timeout=60),
            anext(consumer),
            anext(reader),
            producer.send(b"no room"),
        )
    ]
    await until(lambda: consumer._session.waiting)
    end_the_io(client)
    for task in waiting:
        error = await task
        assert isinstance(error, Closed)
        assert isinstance(error.__cause__, ZeroDivisionError)
    failed = await flushing
    assert isinstance(failed, PushFailed)
    assert isinstance(failed.failed[0].error, OutcomeUnknown)
    assert isinstance(still_open.exception(), Closed)


@in_a_loop
async def test_whatever_is_called_from_then_on_says_so_and_close_returns(router, client):
    consumer, producer = client.consume("app", group="g"), client.producer("app")
    router.broker.publish("app", block(b"a"))
    message = await anext(consumer)
    end_the_io(client)
    message.ack()
    for call in (
        lambda: client.request("status", timeout=60),
        lambda: client.push("app", b"x"),
        lambda: client.push_again(OutcomeUnknown()),
        lambda: producer.send(b"x"),
        lambda: producer.send_many([b"x"]),
        lambda: anext(consumer),
        consumer.flush,
    ):
        assert isinstance(await error_of(call()), Closed)
    for make in (client.consume, client.producer, client.read):
        with pytest.raises(Closed):
            make("app", **({"group": "g"} if make == client.consume else {}))
    assert await error_of(client.close(60)) is None


@in_a_loop
async def test_what_cannot_be_encoded_fails_alone(router, client):
    assert isinstance(await error_of(client.request("status", field="\udce9")), BadRequest)
    producer = client.producer("app")
    for extras in ({"timestamp": -1.0}, {"headers": {"k": "\udce9"}}, {"key": b"k" * 70_000}):
        assert await error_of(producer.send(b"x", **extras)) is not None
    future = await producer.send(b"good")
    assert await future == 1
    await producer.flush()


@in_a_loop
async def test_a_chore_that_raises_ends_alone(router, client):
    broken, other = client.producer("app"), client.producer("app")
    broken.run = lambda now: 1 / 0
    future = await broken.send(b"x")
    assert await (await other.send(b"x")) == 1
    assert isinstance(future.exception(), Closed)
    assert isinstance(await error_of(broken.send(b"y")), Closed)


@in_a_loop
async def test_a_flush_keeps_its_time_while_a_task_waits_for_room(router, client):
    router.broker.mute.add("push")
    producer = client.producer("app")
    flushing = await full(producer)
    sender = asyncio.ensure_future(error_of(producer.send(b"no room")))
    await until(lambda: producer._mutex.locked())
    error = await error_of(producer.flush(0.01))
    assert isinstance(error, TimedOut)
    assert "room" in str(error)
    assert isinstance(await error_of(producer.close(0.01)), TimedOut)
    assert isinstance(await sender, Closed)
    assert isinstance(await flushing, PushFailed)


@in_a_loop
async def test_an_empty_producer_is_not_due_for_ever(router, client):
    producer = client.producer("app")
    producer._due = 0.0
    client._io.wake()
    await until(lambda: producer._due != 0.0)
    assert producer._due == float("inf")


@in_a_loop
async def test_no_poll_comes_behind_the_goodbye(router, client):
    consumer = client.consume("app", group="g")
    waiting = asyncio.create_task(next_of(consumer))
    await until(lambda: router.broker.ops("poll"))
    router.broker.refuse("poll", "busy", retryable=True, retry_ms=1, times=100)
    router.broker.mute.add("goodbye")
    await consumer.close(timeout=0.2)
    assert await waiting is None
    ops = [request["op"] for request in router.broker.requests]
    assert ops.count("poll") == 2
    assert "poll" not in ops[ops.index("goodbye") :]


async def next_of(consumer):
    async for message in consumer:
        return message
    return None
