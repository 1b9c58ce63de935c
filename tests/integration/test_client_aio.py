"""The asyncio client against a real broker."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import subprocess
import sys

import pytest

import layby.aio
from layby.testing import Broker

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def broker():
    with Broker() as broker:
        yield broker


def in_a_loop(test):
    """Runs a coroutine test with a client and a topic of its own."""

    @functools.wraps(test)
    def run(broker, request) -> None:
        async def main() -> None:
            async with layby.aio.connect(broker.endpoint) as client:
                await test(client, f"aio.{request.node.name}")

        asyncio.run(main())

    del run.__wrapped__
    return run


async def group_of(client, topic: str, **settings) -> None:
    await client.request("group_create", group=topic, topics=[topic], settings=settings)


def test_nobody_answers():
    async def main() -> None:
        await layby.aio.connect("tcp://127.0.0.1:9", timeout=0.2)

    with pytest.raises(layby.Unreachable):
        asyncio.run(main())


@in_a_loop
async def test_a_push_comes_out_as_it_went_in(client, topic):
    position = await client.push(topic, "grün", key="k", headers={"h": "1"})
    async with client.consume(topic, group=topic) as consumer:
        async for message in consumer:
            with message:
                assert (message.text, message.key, message.headers) == ("grün", b"k", {"h": "1"})
                assert message.position == position
            break
        await consumer.flush(10)
    assert (await client.request("group", group=topic))["floor"] == position + 1


@in_a_loop
async def test_a_producer_keeps_order(client, topic):
    lines = [b"%d" % n for n in range(20_000)]
    async with client.producer(topic) as producer:
        first = await producer.send(lines[0])
        rest = await producer.send_many(lines[1:])
    assert first.result() <= rest[0].result() < rest[-1].result()
    async with client.consume(topic, group=topic, idle_timeout=5) as consumer:
        seen = []
        async for batch in consumer.batches(max_messages=1_000):
            with batch:
                seen += batch.data
            if len(seen) == len(lines):
                break
    assert seen == lines


@in_a_loop
async def test_refusals(client, topic):
    with pytest.raises(layby.errors.UnknownGroup):
        await client.request("group", group="nobody")
    with pytest.raises(layby.errors.TooLarge):
        await client.push(topic, bytes(2 << 20))
    with pytest.raises(layby.PushFailed):
        async with client.producer("not a name") as producer:
            await producer.send(b"x")

    async def send_and_stumble() -> float:
        async with client.producer("not a name") as producer:
            await producer.send(b"x")
            return 1 / 0

    with pytest.raises(ZeroDivisionError):
        await send_and_stumble()


@in_a_loop
async def test_a_failed_message_comes_back(client, topic):
    await group_of(client, topic, backoff_ms=[20], max_attempts=2)
    await client.push(topic, b"poison")
    attempts = []
    async with client.consume(topic, group=topic) as consumer:
        async for message in consumer:
            with message:
                attempts.append(message.attempts)
                if len(attempts) == 2:
                    consumer.stop()
                raise ValueError("bad")
        await consumer.flush(10)
    assert attempts == [0, 1]
    assert (await client.request("group", group=topic))["dead"] == 1


@in_a_loop
async def test_a_cancelled_task_releases(client, topic):
    await client.push(topic, b"a")
    started = asyncio.Event()

    async def handle() -> None:
        async with client.consume(topic, group=topic) as consumer:
            async for message in consumer:
                with message:
                    started.set()
                    await asyncio.Event().wait()

    task = asyncio.create_task(handle())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with client.consume(topic, group=topic) as consumer:
        with await anext(consumer) as message:
            assert (message.attempts, message.deliveries) == (0, 2)


@in_a_loop
async def test_work_in_several_tasks(client, topic):
    async with client.producer(topic) as producer:
        await producer.send_many([b"%d" % n for n in range(300)])
    seen = []
    together = asyncio.Barrier(3)

    async def handle(message) -> None:
        seen.append(message.data)
        if len(seen) <= 3:
            await together.wait()
        if len(seen) == 300:
            client.stop()

    await client.work(handle, topic, group=topic, jobs=3)
    assert sorted(seen) == sorted(b"%d" % n for n in range(300))


@in_a_loop
async def test_work_ends_with_what_a_handler_lets_through(client, topic):
    await client.push(topic, b"a")

    async def handle(message) -> None:
        raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        await client.work(handle, topic, group=topic, jobs=2, on_error="raise")


@in_a_loop
async def test_stop_by_signal_handler(client, topic):
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, client.stop)
    loop.call_later(0.01, os.kill, os.getpid(), signal.SIGUSR1)
    try:
        async with client.consume(topic, group=topic) as consumer:
            assert [message async for message in consumer] == []
    finally:
        loop.remove_signal_handler(signal.SIGUSR1)


@in_a_loop
async def test_idle_timeout(client, topic):
    async with client.consume(topic, group=topic, idle_timeout=0.05) as consumer:
        assert [message async for message in consumer] == []
    assert [record async for record in client.read(topic, idle_timeout=0.05)] == []


@in_a_loop
async def test_read(client, topic):
    first = await client.push(topic, b"a")
    last = await client.push(topic, b"b")
    found = [r.data async for r in client.read(topic, start=first, until=last + 1)]
    assert found == [b"a", b"b"]


@in_a_loop
async def test_many_pushes_at_once(client, topic):
    positions = await asyncio.gather(*(client.push(topic, b"x") for _ in range(2_000)))
    assert len(set(positions)) == 2_000


@in_a_loop
async def test_a_closed_client_says_so(client, topic):
    await client.close()
    with pytest.raises(layby.Closed):
        await client.push(topic, b"x")


LEFT_OPEN = """
import asyncio, sys, layby.aio

async def main():
    client = await layby.aio.connect(sys.argv[1])
    await client.producer(sys.argv[2], linger=60).send_many([b"x"] * 10)
    return client

client = asyncio.run(main())
"""


@in_a_loop
async def test_a_client_left_open_is_flushed_at_exit(client, topic):
    await group_of(client, topic)
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", LEFT_OPEN, client.endpoint, topic],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert done.stderr == ""
    async with client.consume(topic, group=topic, idle_timeout=5) as consumer:
        assert [(await anext(consumer)).data for _ in range(10)] == [b"x"] * 10
