"""The sync client against a real broker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import Counter

import pytest

import layby
from layby._lease import DEFER
from layby.testing import Broker

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def broker():
    with Broker() as broker:
        yield broker


@pytest.fixture
def client(broker):
    with broker.connect() as client:
        yield client


@pytest.fixture
def topic(request) -> str:
    """Of this test alone."""
    return f"t.{request.node.name.replace('[', '.').replace(']', '')}"


def group_of(client, topic: str, **settings) -> str:
    client.request("group_create", group=topic, topics=[topic], settings=settings)
    return topic


def test_nobody_answers():
    with pytest.raises(layby.Unreachable, match="no layby broker answers"):
        layby.connect("tcp://127.0.0.1:9", timeout=0.2)
    with pytest.raises(layby.Unreachable, match="not an endpoint"):
        layby.connect("nonsense", timeout=0.2)


def test_the_broker_says_who_it_is(client):
    assert client.server["version"] == 1
    assert client.request("status")["state"] == "serving"


def test_a_refusal_is_raised(client):
    with pytest.raises(layby.errors.UnknownGroup) as caught:
        client.request("group", group="nobody")
    assert not caught.value.retryable
    with pytest.raises(layby.errors.BadName):
        client.push("a b", b"x")


def test_a_push_comes_out_as_it_went_in(client, topic):
    position = client.push(topic, "grün", key=b"k", headers={"h": "1"}, timestamp=1_700_000_000.5)
    assert client.push(topic, b"second") > position
    with client.consume(topic, group=topic) as consumer:
        message = next(consumer)
        with message:
            assert (message.text, message.key, message.headers) == ("grün", b"k", {"h": "1"})
            assert (message.timestamp, message.position) == (1_700_000_000.5, position)
            assert (message.lane, message.attempts, message.deliveries) == ("live", 0, 1)
        with next(consumer) as message:
            assert message.data == b"second"
            assert message.timestamp > 1_700_000_001


def test_a_producer_keeps_order_and_tells_positions(client, topic):
    lines = [b"%d" % n for n in range(20_000)]
    with client.producer(topic) as producer:
        first = producer.send(lines[0])
        rest = producer.send_many(lines[1:])
    assert first.result() <= rest[0].result() < rest[-1].result()
    group_of(client, topic)
    with client.consume(topic, group=topic, idle_timeout=2) as consumer:
        seen = []
        for batch in consumer.batches():
            with batch:
                seen += batch.data
            if len(seen) == len(lines):
                break
    assert seen == lines


def test_a_full_message_is_refused_before_it_leaves(client, topic):
    with pytest.raises(layby.errors.TooLarge):
        client.push(topic, bytes(2 << 20))
    with client.producer(topic) as producer, pytest.raises(layby.errors.TooLarge):
        producer.send(bytes(2 << 20))


def test_flush_tells_what_failed_and_leaving_never_masks(client, caplog):
    producer = client.producer("not a name")
    future = producer.send(b"x")
    with pytest.raises(layby.PushFailed) as caught:
        producer.flush()
    [failed] = caught.value.failed
    assert (failed.topic, failed.messages, failed.error.code) == ("not a name", [b"x"], "bad_name")
    assert future.exception() is failed.error
    producer.close()

    def send_and_stumble() -> float:
        with client.producer("not a name") as producer:
            producer.send(b"x")
            return 1 / 0

    with pytest.raises(ZeroDivisionError):
        send_and_stumble()
    assert "1 messages were not confirmed" in caplog.text
    with pytest.raises(layby.PushFailed), client.producer("not a name") as producer:
        producer.send(b"x")
    with pytest.raises(layby.Closed):
        producer.send(b"x")


def test_many_threads_push_over_one_client(client, topic):
    positions = []

    def push_some() -> None:
        positions.extend([client.push(topic, b"x") for _ in range(50)])

    threads = [threading.Thread(target=push_some) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(positions)) == 400


def test_a_failed_message_comes_back_with_its_history(client, topic, caplog):
    group_of(client, topic, backoff_ms=[20], max_attempts=2)
    client.push(topic, b"poison")
    with client.consume(topic, group=topic) as consumer:
        for attempt in range(2):
            with next(consumer) as message:
                assert message.attempts == attempt
                if attempt:
                    assert message.lane == "deferred"
                    assert message.history[0].reason == "ValueError: bad"
                    assert message.history[0].counted
                    assert message.history[0].consumer == client.name
                raise ValueError("bad")
        consumer.flush(10)
    assert client.request("group", group=topic)["dead"] == 1
    dead = client.request("parked", group=topic, lane="dead", bodies=True)
    assert dead.blocks[0].body(0) == b"poison"
    assert "ValueError: bad" in caplog.text


def test_on_error_raise(client, topic):
    client.push(topic, b"x")
    with client.consume(topic, group=topic, on_error="raise") as consumer:
        message = next(consumer)
        with pytest.raises(ValueError, match="bad"), message:
            raise ValueError("bad")
    assert client.request("group", group=topic)["deferred"] == 1


def test_leaving_releases_what_has_no_outcome(client, topic):
    client.push(topic, b"a")
    with client.consume(topic, group=topic) as consumer:
        assert next(consumer).data == b"a"
    with client.consume(topic, group=topic) as consumer:
        message = next(consumer)
        assert (message.data, message.attempts, message.deliveries) == (b"a", 0, 2)
        message.ack()
        consumer.flush(10)
        with pytest.raises(layby.AlreadySettled):
            message.fail("late")
    assert client.request("group", group=topic)["out"] == 0


def test_idle_timeout_ends_the_loop(client, topic):
    with client.consume(topic, group=topic, idle_timeout=0.05) as consumer:
        assert list(consumer) == []


def test_stop_from_another_thread(client, topic):
    client.push(topic, b"a")
    with client.consume(topic, group=topic) as consumer:
        for message in consumer:
            message.ack()
            threading.Thread(target=consumer.stop).start()
    assert message.data == b"a"


def test_stop_in_a_signal_handler(client, topic):
    before = signal.signal(signal.SIGUSR1, lambda *_: client.stop())
    try:
        client.push(topic, b"a")
        with client.consume(topic, group=topic) as consumer:
            for message in consumer:
                message.ack()
                threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGUSR1)).start()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_an_outcome_that_does_not_count_is_told(client, topic, caplog):
    client.push(topic, b"a")
    told = []
    event = threading.Event()

    def on_lost(message, code) -> None:
        told.append((message.data, code))
        event.set()

    with client.consume(topic, group=topic, lease=0.05, on_lost=on_lost) as consumer:
        message = next(consumer)
        client.request("group_delete", group=topic)
        client.request("group_create", group=topic, topics=[topic], start="latest")
        message.ack()
        assert event.wait(5)
    assert told[0][0] == b"a"
    assert consumer.lost == 1
    assert told[0][1] in caplog.text


def test_an_outcome_that_cannot_be_taken_is_lost_alone(client, topic, caplog):
    """As a client with a bug would send it."""
    client.producer(topic).send_many([b"a", b"b", b"c"])
    told = []

    def on_lost(message, code) -> None:
        told.append((message.data, code))
        client.request("status")

    with client.consume(topic, group=topic, prefetch=10, on_lost=on_lost) as consumer:
        messages = [next(consumer) for _ in range(3)]
        messages[0].ack()
        messages[1]._desk.settle(messages[1]._run, messages[1]._index, DEFER, "", 1 << 40)
        messages[2].reject("no")
        consumer.flush(10)
        assert consumer.lost == 1
    assert told == [(b"b", "bad_request")]
    assert client.request("group", group=topic)["dead"] == 1
    assert "a thread of your own" in caplog.text, "it does not wait for the thread it runs on"


def test_a_group_that_reads_other_topics(client, topic):
    group_of(client, topic)
    with (
        pytest.raises(layby.errors.SubscriptionDiffers),
        client.consume("other", group=topic) as consumer,
    ):
        next(consumer)


def test_work_with_several_threads(client, topic):
    client.producer(topic).send_many([b"%d" % n for n in range(500)])
    seen: Counter[bytes] = Counter()
    threads = set()
    meet = threading.Barrier(3)

    def handle(message) -> None:
        if threading.get_ident() not in threads:
            threads.add(threading.get_ident())
            meet.wait(10)
        seen[message.data] += 1
        if len(seen) == 500:
            client.stop()

    client.work(handle, topic, group=topic, jobs=3)
    assert len(seen) == 500
    assert set(seen.values()) == {1}
    assert len(threads) == 3


def test_work_ends_with_what_a_handler_lets_through(client, topic):
    client.push(topic, b"a")

    def handle(message) -> None:
        raise SystemExit(7)

    for jobs in (1, 2):
        with pytest.raises(SystemExit):
            client.work(handle, topic, group=topic, jobs=jobs)


def test_read_takes_no_work(client, topic):
    first = client.push(topic, b"a", headers={"h": "1"})
    last = client.push(topic, b"b")
    group_of(client, topic)
    records = list(client.read(topic, start=first, until=last + 1))
    assert [(r.data, r.position, r.headers) for r in records] == [
        (b"a", first, {"h": "1"}),
        (b"b", last, {}),
    ]
    assert client.request("group", group=topic)["waiting"] >= 0


def test_read_follows_and_stops(client, topic):
    with client.read(topic) as reader:
        client.request("status")
        pushing = threading.Thread(target=client.push, args=(topic, b"new"))
        pushing.start()
        assert next(reader).data == b"new"
        pushing.join()
        threading.Thread(target=client.stop).start()
        assert list(reader) == []


def test_read_gives_up_when_idle(client, topic):
    assert list(client.read(topic, idle_timeout=0.05)) == []


def test_a_closed_client_says_so(broker):
    client = broker.connect()
    client.close()
    client.close()
    with pytest.raises(layby.Closed):
        client.push("x", b"y")
    with pytest.raises(layby.Closed):
        client.consume("x", group="y")


def test_closing_the_client_closes_what_is_open(broker, topic):
    with broker.connect() as client:
        client.producer(topic).send(b"left")
        consumer = client.consume(topic, group=topic)
        next(consumer)
    with broker.connect() as client, client.consume(topic, group=topic) as consumer:
        assert next(consumer).data == b"left"


def test_a_forked_child_is_told(client, topic):
    with client.consume(topic, group=topic) as consumer, client.producer(topic) as producer:
        child = os.fork()
        if child == 0:
            code = 0
            for call in (
                lambda: client.push(topic, b"x"),
                lambda: producer.send(b"x"),
                lambda: next(consumer),
                lambda: consumer.flush(),
                client.close,
            ):
                try:
                    call()
                    code = 1
                except layby.Forked:
                    pass
                except BaseException:
                    code = 2
            os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert client.push(topic, b"x")


LEFT_OPEN = """
import sys, layby
client = layby.connect(sys.argv[1])
client.producer(sys.argv[2], linger=60).send_many([b"x"] * 10)
"""


def test_a_client_left_open_is_flushed_at_exit(broker, topic):
    path = os.pathsep.join(sys.path)
    with broker.connect() as client:
        group_of(client, topic)
        done = subprocess.run(
            [sys.executable, "-c", LEFT_OPEN, broker.endpoint, topic],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
        assert done.stderr == ""
        with client.consume(topic, group=topic, idle_timeout=5) as consumer:
            assert [next(consumer).data for _ in range(10)] == [b"x"] * 10
