"""The client across restarts, kills and silences of a real daemon."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future

import pytest

import layby

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture
def client(daemon):
    with layby.connect(daemon.url) as client:
        yield client


def everything(client, topic: str) -> list[bytes]:
    end = client.request("status")["store"]["end"]
    return [record.data for record in client.read(topic, start="earliest", until=end)]


def keep(client, topic: str) -> None:
    """A group that never settles keeps the log."""
    client.request("group_create", group="keeper", topics=[topic])


def test_a_push_rides_out_a_restart(daemon, client):
    keep(client, "t")
    client.push("t", b"before")
    daemon.kill()
    starter = threading.Thread(target=daemon.start)
    starter.start()
    client.push("t", b"through", timeout=30)
    starter.join()
    assert everything(client, "t") == [b"before", b"through"]


def test_a_producer_rides_out_a_restart_in_order(daemon, client):
    keep(client, "t")
    lines = [b"%d" % n for n in range(40_000)]
    with client.producer("t") as producer:
        producer.send_many(lines[:20_000])
        daemon.kill()
        starter = threading.Thread(target=daemon.start)
        starter.start()
        producer.send_many(lines[20_000:])
        starter.join()
    assert everything(client, "t") == lines


def test_an_unknown_outcome_is_pushed_again_and_stored_once(daemon, client):
    keep(client, "t")
    first = client.push("t", b"a")
    daemon.signal(signal.SIGSTOP)
    os.waitid(os.P_PID, daemon.pid, os.WSTOPPED | os.WNOWAIT)
    try:
        with pytest.raises(layby.OutcomeUnknown) as caught:
            client.push("t", b"b", timeout=0.1)
    finally:
        daemon.signal(signal.SIGCONT)
    assert client.push("t", b"c") > first
    assert client.push_again(caught.value) > first
    with pytest.raises(ValueError, match="before"):
        client.push_again(caught.value)
    assert sorted(everything(client, "t")) == [b"a", b"b", b"c"]


def test_a_consumer_rides_out_a_restart(daemon, client):
    client.push("t", b"a")
    client.push("t", b"b")
    with client.consume("t", group="g", idle_timeout=20) as consumer:
        first = next(consumer)
        daemon.restart()
        first.ack()
        second = next(consumer)
        assert (first.data, second.data) == (b"a", b"b")
        second.ack()
        consumer.flush(10)
        assert consumer.lost == 0
    assert client.request("group", group="g")["floor"] == second.position + 1


def test_a_poll_sent_again_to_a_broker_that_stood_still(daemon, client, monkeypatch):
    """It finds both sendings at once and answers the first, parked one `replaced`."""
    monkeypatch.setattr("layby._session.WAIT_S", 0.3)
    monkeypatch.setattr("layby._session.GRACE_S", 0.1)
    with client.consume("t", group="g", idle_timeout=10) as consumer, client.producer("t") as own:
        client.push("t", b"a")
        next(consumer).ack()
        answer: Future[layby.Message] = Future()
        threading.Thread(target=lambda: answer.set_result(next(consumer)), daemon=True).start()
        session = consumer._session
        while session._poll is None or not session._poll.idle:
            continue
        daemon.signal(signal.SIGSTOP)
        try:
            os.waitid(os.P_PID, daemon.pid, os.WSTOPPED | os.WNOWAIT)
            while len(session._poll.ids) < 2:
                continue
            own.send(b"b")
        finally:
            daemon.signal(signal.SIGCONT)
        message = answer.result(10)
        assert (message.data, message.deliveries) == (b"b", 1)
        message.ack()


def test_nobody_there_any_more(daemon, client):
    daemon.kill()
    with pytest.raises(layby.Unreachable):
        client.push("t", b"a", timeout=0.5)
    with pytest.raises((layby.TimedOut, layby.Unreachable)):
        client.request("status", timeout=0.2)


def test_a_stopping_broker_refuses_for_now(daemon, client):
    """Held back by a lease it quiesces; pushes wait for the next one."""
    client.push("t", b"a")
    consumer = client.consume("t", group="g")
    message = next(consumer)
    daemon.signal(signal.SIGTERM)
    while client.request("status")["state"] == "serving":
        continue
    with pytest.raises(layby.errors.Quiescing):
        client.push("t", b"b", timeout=0.4)
    message.ack()
    consumer.flush(10)
    consumer.close()
    assert daemon.wait() == 0


LEFT_OPEN = """
import os, signal, sys, layby
client = layby.connect(sys.argv[1])
os.kill(int(sys.argv[2]), signal.SIGSTOP)
client.producer("t").send_many([b"x"] * 10)
"""


def test_a_client_left_open_says_in_one_line_what_is_not_confirmed(daemon):
    done = subprocess.run(
        [sys.executable, "-c", LEFT_OPEN, daemon.url, str(daemon.pid)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    daemon.signal(signal.SIGCONT)
    [line] = done.stderr.splitlines()
    assert "10 messages are not confirmed" in line
