"""A broker made of prepared answers, and a way to run one command against it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from layby.cli import app
from layby.errors import refused

GOLDEN = Path(__file__).parents[2] / "golden"


class Result(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.err)
        return found


class FakeClient:
    """Answers requests from a table; a list is given out one by one, an exception raised."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def request(self, op: str, *, timeout: float = 0.0, **fields: Any) -> dict[str, Any]:
        self.asked.append((op, fields))
        answer = self.answers[op]
        if isinstance(answer, list):
            answer = answer.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return {"ok": True, "boot": 1, **answer}

    def __enter__(self) -> FakeClient:
        return self

    def __exit__(self, *_: object) -> None:
        pass


Run = Callable[..., Result]


@pytest.fixture
def answers() -> dict[str, Any]:
    return {}


@pytest.fixture
def client(answers: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    client = FakeClient(answers)
    monkeypatch.setattr(app.Setup, "connect", lambda self, timeout=None: client)
    return client


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.delenv("LAYBY_URL", raising=False)

    def run(*args: str) -> Result:
        status = app.run(args)
        return Result(status, *capfd.readouterr())

    return run


@pytest.fixture
def golden() -> Callable[[str, Any], None]:
    """The keys of a record are those written down; a new or lost one is a change of contract."""

    def check(verb: str, record: dict[str, Any]) -> None:
        allowed = json.loads((GOLDEN / f"{verb}.json").read_text())
        assert keys(record) == allowed

    return check


def keys(record: dict[str, Any]) -> list[Any]:
    """Names, sorted; those of an inner map, or of a list's first map, beside them."""
    found: list[Any] = []
    for name, value in sorted(record.items()):
        inner = value[0] if isinstance(value, list) and value else value
        found.append({name: keys(inner)} if isinstance(inner, dict) and inner else name)
    return found


def refusal(code: str, **fields: Any) -> Exception:
    return refused({"code": code, "text": f"refused: {code}", "retryable": False, **fields})
