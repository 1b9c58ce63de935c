from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from layby.cli import consume as consuming
from layby.cli import pipe, trouble
from layby.message import Failure


class FakeMessage:
    topic = "app"
    key = None
    timestamp = 1.5
    attempts = 1
    deliveries = 2
    lane = "live"

    def __init__(self, position: int, data: bytes) -> None:
        self.position = position
        self.data = data
        self.outcome = ""
        self.headers: dict[str, str] = {}
        self.history = [Failure(1.0, "why", "c", True)]

    @property
    def text(self) -> str:
        return self.data.decode(errors="replace")

    def ack(self) -> None:
        self.outcome = "ack"

    def release(self) -> None:
        self.outcome = "release"


class FakeConsumer:
    """Gives what it has; then ends, or waits to be stopped."""

    def __init__(self, *bodies: bytes) -> None:
        self.messages = [FakeMessage(n, body) for n, body in enumerate(bodies, 1)]
        self.stopped = threading.Event()
        self.endless = False
        self.words: dict[str, Any] = {}
        self.closed = False

    def __iter__(self) -> Iterator[FakeMessage]:
        yield from self.messages
        if self.endless:
            self.idle()
            self.stopped.wait(30)

    def idle(self) -> None:
        """What happens while nothing comes."""

    def stop(self) -> None:
        self.stopped.set()

    def __enter__(self) -> FakeConsumer:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    @property
    def outcomes(self) -> list[str]:
        return [message.outcome for message in self.messages]


@pytest.fixture
def consumer(client: Any) -> FakeConsumer:
    made = FakeConsumer(b"one", b"two\xff", b"three")

    def consume(*topics: str, **words: Any) -> FakeConsumer:
        made.words = {"topics": topics, **words}
        return made

    client.consume = consume
    return made


def test_a_line_each_and_an_ack(consumer: FakeConsumer, client: Any, capfdbinary: Any) -> None:
    from layby.cli import app

    assert app.run(["consume", "app", "--group", "g", "--wait", "1s"]) == 0
    assert capfdbinary.readouterr().out == b"one\ntwo\xff\nthree\n"
    assert consumer.outcomes == ["ack"] * 3
    assert consumer.closed
    assert consumer.words == {
        "topics": ("app",),
        "group": "g",
        "start": "earliest",
        "idle_timeout": 1.0,
    }


def test_json(run: Any, consumer: FakeConsumer, golden: Any) -> None:
    records = run("consume", "app", "--group", "g", "--json").records
    golden("consume", records[0])
    assert records[0]["data"] == "one"
    assert records[1]["data_b64"] == "dHdv/w=="
    assert "data" not in records[1]
    assert records[0]["timestamp_us"] == 1_500_000


def test_no_more_than_wanted(run: Any, consumer: FakeConsumer) -> None:
    result = run("consume", "app", "--group", "g", "-n", "2", "--json")
    assert (result.status, len(result.records)) == (0, 2)
    assert consumer.outcomes == ["ack", "ack", ""]


def test_fewer_than_wanted_is_4(run: Any, consumer: FakeConsumer) -> None:
    consumer.endless = True
    result = run("consume", "app", "--group", "g", "-n", "5", "--wait", "10ms", "--json")
    assert (result.status, len(result.records)) == (trouble.FEWER, 3)
    assert consumer.words["idle_timeout"] is None


def test_a_closed_pipe_releases_the_unwritten(
    run: Any, consumer: FakeConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    monkeypatch.setattr(consuming, "Pipe", lambda: pipe.Pipe(theirs))
    assert run("consume", "app", "--group", "g", "-n", "3") == (0, "", "")
    assert consumer.outcomes == ["release", "", ""]
    os.close(theirs)


def test_ctrl_c_is_an_end_like_any(run: Any, consumer: FakeConsumer) -> None:
    consumer.endless = True
    consumer.idle = lambda: os.kill(os.getpid(), signal.SIGINT)  # type: ignore[method-assign]
    assert run("consume", "app", "--group", "g", "--json").status == 0
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_but_not_when_more_was_wanted(run: Any, consumer: FakeConsumer) -> None:
    consumer.endless = True
    consumer.idle = lambda: os.kill(os.getpid(), signal.SIGTERM)  # type: ignore[method-assign]
    status = run("consume", "app", "--group", "g", "-n", "5", "--json").status
    assert status == 128 + signal.SIGTERM


def test_a_terminal_gets_harmless_text(
    consumer: FakeConsumer, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer.messages = [FakeMessage(1, b"a\x1b[2Jb\tc\nd\xff")]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(consuming, "on_terminal", lambda: True)
    assert run("consume", "app", "--group", "g").out == "a\\x1b[2Jb\tc\nd\ufffd\n"
