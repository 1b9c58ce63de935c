from __future__ import annotations

from typing import Any

import pytest

from layby.cli import verdict
from layby.cli.process import Ended
from layby.cli.verdict import Rules, Verdict

RULES = Rules(("cmd",), "g", timeout=90.0, defer_delay=5.0)


@pytest.mark.parametrize(
    ("ended", "outcome"),
    [
        (Ended(0, "noise"), Verdict("ack")),
        (Ended(75, "later"), Verdict("defer", "later", 5.0)),
        (Ended(65, "bad line"), Verdict("reject", "bad line")),
        (Ended(65, ""), Verdict("reject", "exit 65")),
        (Ended(126, "x"), Verdict("release")),
        (Ended(127, "x"), Verdict("release")),
        (Ended(-9, "x"), Verdict("fail", "signal 9")),
        (Ended(3, "boom"), Verdict("fail", "boom")),
        (Ended(3, ""), Verdict("fail", "exit 3")),
        (Ended(-15, "x", timed_out=True), Verdict("fail", "killed after 1m30s")),
        (Ended(0, "", timed_out=True), Verdict("fail", "killed after 1m30s")),
        (Ended(0, "", stopped=True), Verdict("release")),
        (Ended(-15, "", stopped=True), Verdict("release")),
    ],
)
def test_what_a_run_means(ended: Ended, outcome: Verdict) -> None:
    assert verdict.read(ended, RULES) == outcome


def test_a_long_reason_is_cut_between_characters() -> None:
    reason = verdict.read(Ended(1, "é" * 4_000), RULES).reason
    assert set(reason) == {"é"}
    assert len(reason.encode()) <= verdict.REASON_BYTES


class FakeMessage:
    topic = "app.web"
    position = 17
    attempts = 2
    key: bytes | None = b"k\xff"
    timestamp = 1_763_929_561.5

    def __init__(self) -> None:
        self.said: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *args: self.said.append((name, *args))


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (Verdict("ack"), ("ack",)),
        (Verdict("release"), ("release",)),
        (Verdict("fail", "why"), ("fail", "why")),
        (Verdict("reject", "why"), ("reject", "why")),
        (Verdict("defer", "why", 3.0), ("defer", 3.0, "why")),
    ],
)
def test_it_is_given_to_the_message(outcome: Verdict, said: tuple[Any, ...]) -> None:
    message: Any = FakeMessage()
    outcome.apply(message)
    assert message.said == [said]


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAYBY_KEY", "somebody else's")
    message: Any = FakeMessage()
    env = verdict.environment(message, "g")
    ours = {name: value for name, value in env.items() if name.startswith(b"LAYBY_")}
    ours.pop(b"LAYBY_URL", None)
    assert ours == {
        b"LAYBY_TOPIC": b"app.web",
        b"LAYBY_GROUP": b"g",
        b"LAYBY_POSITION": b"17",
        b"LAYBY_ATTEMPTS": b"2",
        b"LAYBY_KEY": b"k\xff",
        b"LAYBY_TIMESTAMP": b"2025-11-23T20:26:01.500000Z",
    }
    assert env[b"PATH"]


@pytest.mark.parametrize("key", [None, b"", b"nul\0inside"])
def test_a_key_that_cannot_stand_there_is_left_out(key: bytes | None) -> None:
    message: Any = FakeMessage()
    message.key = key
    assert b"LAYBY_KEY" not in verdict.environment(message, "g")


def test_the_record(golden: Any) -> None:
    message: Any = FakeMessage()
    golden("work", verdict.record(message, "g", Verdict("ack"), Ended(0, ""), 0.1))
