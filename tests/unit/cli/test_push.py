from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from layby.cli import trouble
from layby.errors import BadName, PushFailed, StoreFull, TooLarge, Unreachable


class FakeBlock:
    def __init__(self, messages: int, error: Exception) -> None:
        self.messages = messages
        self.error = error

    def __len__(self) -> int:
        return self.messages


class FakeProducer:
    """Confirms what it gets, five messages a block, until told to fail."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, dict[str, Any]]] = []
        self.limit = 10
        self.fails: Exception | None = None
        self.failed: list[Any] = []
        self.closed = False

    def send(self, line: bytes, **extras: Any) -> Future[int]:
        if len(line) > self.limit:
            raise TooLarge(f"a message of {len(line)} bytes")
        self.sent.append((line, extras))
        return self._future(len(self.sent))

    def send_many(self, lines: list[bytes]) -> list[Future[int]]:
        if any(len(line) > self.limit for line in lines):
            raise TooLarge("too long")
        first = len(self.sent) + 1
        self.sent += [(line, {}) for line in lines]
        if self.fails:
            self.failed.append(FakeBlock(len(lines), self.fails))
        return [self._future(first)]

    def _future(self, position: int) -> Future[int]:
        future: Future[int] = Future()
        if self.fails:
            future.set_exception(self.fails)
        else:
            future.set_result(position)
        return future

    def close(self) -> None:
        self.closed = True
        if self.failed:
            raise PushFailed(self.failed)


@pytest.fixture
def producer(client: Any) -> FakeProducer:
    made = FakeProducer()
    client.producer = lambda topic, timeout: made
    return made


@pytest.fixture
def lines(tmp_path: Path) -> Iterator[Any]:
    def write(data: bytes) -> str:
        path = tmp_path / "lines"
        path.write_bytes(data)
        return str(path)

    return write  # type: ignore[return-value]


class TestOne:
    @pytest.fixture
    def pushed(self, client: Any) -> list[Any]:
        found: list[Any] = []

        def push(topic: str, data: bytes, **words: Any) -> int:
            found.append((topic, data, words))
            return 42

        client.push = push
        return found

    def test_a_word(self, run: Any, pushed: list[Any]) -> None:
        assert run("push", "app", "hällo") == (0, "42\n", "")
        words = {"timeout": 30.0, "key": None, "headers": None}
        assert pushed == [("app", "hällo".encode(), words)]

    def test_json(self, run: Any, pushed: list[Any], golden: Any) -> None:
        record = run("push", "app", "x", "--json").records[0]
        golden("push", record)
        assert record == {"topic": "app", "messages": 1, "first": 42}

    def test_key_headers_and_timeout(self, run: Any, pushed: list[Any]) -> None:
        run("push", "app", "x", "--key", "k", "-H", "a=1", "-H", "b=x=y", "--timeout", "2s")
        assert pushed[0][2] == {"timeout": 2.0, "key": b"k", "headers": {"a": "1", "b": "x=y"}}

    def test_an_empty_word_is_a_message(self, run: Any, pushed: list[Any]) -> None:
        assert run("push", "app", "").status == 0
        assert pushed[0][1] == b""

    def test_stdin_byte_for_byte(
        self, run: Any, pushed: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\r\n\xff\n")))
        assert run("push", "app", "-").status == 0
        assert pushed[0][1] == b"a\r\n\xff\n"

    def test_data_and_lines_are_too_much(self, run: Any, pushed: list[Any]) -> None:
        assert run("push", "app", "x", "--lines", "-").status == trouble.USAGE
        assert pushed == []

    @pytest.mark.parametrize(
        ("error", "status"), [(BadName("no"), 1), (StoreFull("full"), 75), (Unreachable(), 69)]
    )
    def test_refused(self, run: Any, client: Any, error: Exception, status: int) -> None:
        def push(*_: Any, **__: Any) -> int:
            raise error

        client.push = push
        assert run("push", "app", "x").status == status


class TestLines:
    def test_each_is_a_message(self, run: Any, producer: FakeProducer, lines: Any) -> None:
        result = run("push", "app", "--lines", lines(b"a\r\nb\n\nc"))
        assert result == (0, "", "4 messages confirmed\n")
        assert [line for line, _ in producer.sent] == [b"a", b"b", b"", b"c"]
        assert producer.closed

    def test_json(self, run: Any, producer: FakeProducer, lines: Any, golden: Any) -> None:
        record = run("push", "app", "--json", "--lines", lines(b"a\nb\n")).records[0]
        golden("push", record)
        assert record == {"topic": "app", "messages": 2, "first": 1}

    def test_none_is_done(self, run: Any, producer: FakeProducer, lines: Any) -> None:
        record = run("push", "app", "--json", "--lines", lines(b"")).records[0]
        assert record == {"topic": "app", "messages": 0, "first": None}

    def test_with_a_key(self, run: Any, producer: FakeProducer, lines: Any) -> None:
        run("push", "app", "--key", "k", "--lines", lines(b"a\nb\n"))
        extras = {"key": b"k", "headers": None}
        assert producer.sent == [(b"a", extras), (b"b", extras)]

    def test_a_long_line_is_named_and_those_before_it_pushed(
        self, run: Any, producer: FakeProducer, lines: Any
    ) -> None:
        result = run("push", "app", "--lines", lines(b"a\nb\n" + b"x" * 11 + b"\nc\n"))
        assert result.status == trouble.PARTLY
        assert "line 3:" in result.err
        assert [line for line, _ in producer.sent] == [b"a", b"b"]

    def test_nothing_confirmed_is_no_part(
        self, run: Any, producer: FakeProducer, lines: Any
    ) -> None:
        producer.fails = StoreFull("full")
        result = run("push", "app", "--json", "--lines", lines(b"a\nb\n"))
        assert (result.status, result.out) == (75, "")
        assert result.error["code"] == "store_full"

    def test_some_confirmed_is_partly(
        self, run: Any, producer: FakeProducer, lines: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from layby.cli import lines as cutting

        monkeypatch.setattr(cutting, "CHUNK", 4)
        real = producer.send_many

        def send_many(some: list[bytes]) -> list[Future[int]]:
            if producer.sent:
                producer.fails = BadName("no")
            return real(some)

        monkeypatch.setattr(producer, "send_many", send_many)
        result = run("push", "app", "--lines", lines(b"a\nb\nc\nd\ne\nf\n"))
        assert result.status == trouble.PARTLY
        assert "2 messages confirmed" in result.err
        assert len(producer.sent) == 4
