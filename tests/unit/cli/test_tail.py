from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from layby.cli import trouble

from .test_consume import FakeMessage


class FakeLog:
    """Positions 1 to 100; every fifth is of our topic."""

    def __init__(self) -> None:
        self.reads: list[tuple[Any, Any]] = []
        self.mine = [n for n in range(1, 101) if n % 5 == 0]

    def read(self, *topics: str, start: Any, until: int | None = None) -> FakeReader:
        self.reads.append((start, until))
        begin = {"earliest": 1, "latest": 101}.get(start, start)
        after = 101 if until is None else until
        return FakeReader([n for n in self.mine if begin <= n < after])


class FakeReader:
    def __init__(self, positions: list[int]) -> None:
        self._positions = positions

    def __iter__(self) -> Iterator[FakeMessage]:
        return iter([FakeMessage(n, b"%d" % n) for n in self._positions])

    def stop(self) -> None:
        pass

    def __enter__(self) -> FakeReader:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def log(client: Any, answers: dict[str, Any]) -> FakeLog:
    made = FakeLog()
    client.read = made.read
    client.stop = lambda: None
    entry = {"messages": 1, "bytes": 1, "last_us": 1, "groups": 0}
    answers["topics"] = {
        "topics": [
            {"name": "app", "first": 5, "last": 100, **entry},
            {"name": "other", "first": 1, "last": 99, **entry},
        ],
        "more": False,
    }
    return made


def test_all_of_it(run: Any, log: FakeLog, golden: Any) -> None:
    records = run("tail", "app", "--from", "earliest", "--json").records
    golden("tail", records[0])
    assert [record["position"] for record in records] == log.mine


def test_latest_is_the_default(run: Any, log: FakeLog) -> None:
    assert run("tail", "app").out == ""
    assert log.reads == [("latest", None)]


def test_between_positions(run: Any, log: FakeLog) -> None:
    assert run("tail", "app", "--from", "10", "--until", "20").out == "10\n15\n"


@pytest.mark.parametrize("number", [1, 3, 20, 50])
def test_the_last_messages(run: Any, log: FakeLog, number: int) -> None:
    out = run("tail", "app", "--from", f"-{number}").out
    assert [int(line) for line in out.split()] == log.mine[-number:]
    assert log.reads[-1] == (101, None)


def test_the_last_before_a_position(run: Any, log: FakeLog) -> None:
    assert run("tail", "app", "--from", "-2", "--until", "50").out == "40\n45\n"


def test_of_no_topic_there_is_no_last_message(run: Any, log: FakeLog) -> None:
    log.mine = []
    assert run("tail", "new", "--from", "-3").out == ""


def test_enough_is_enough(run: Any, log: FakeLog) -> None:
    assert run("tail", "app", "--from", "earliest", "-n", "2").out == "5\n10\n"
    assert run("tail", "app", "--from", "-5", "-n", "2").out == "80\n85\n"


def test_until_a_past_time_is_until_a_position(
    run: Any, log: FakeLog, answers: dict[str, Any], client: Any
) -> None:
    answers["read"] = {"blocks": [{"topic": "app", "ranges": [60, 60], "at_us": 5}], "next": 61}
    assert run("tail", "app", "--from", "45", "--until", "10m").out == "45\n50\n55\n"
    asked = client.asked[0][1]
    assert asked["from"]["time_us"] < time.time_ns() // 1_000
    assert (asked["topics"], asked["limit"]) == (["app"], 1)


def test_until_now_is_until_the_end(run: Any, log: FakeLog, answers: dict[str, Any]) -> None:
    answers["read"] = {"blocks": [], "next": 101}
    run("tail", "app", "--from", "earliest", "--until", "now")
    assert log.reads == [("earliest", 101)]


def test_until_latest_makes_no_sense(run: Any, log: FakeLog) -> None:
    assert run("tail", "app", "--until", "latest").status == trouble.USAGE
