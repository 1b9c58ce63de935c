from __future__ import annotations

from typing import Any

import pytest

from layby.cli import status, trouble
from layby.errors import BadRequest, Unreachable


def answer(**fields: Any) -> dict[str, Any]:
    return {
        "state": "serving",
        "version": "0.1.0",
        "uptime_ms": 90_000,
        "store": {
            "kind": "lmdb",
            "id": b"\x01" * 16,
            "epoch": 1,
            "start": 1,
            "end": 10,
            "used": 4_096,
            "limit": 1 << 30,
            "segments": 1,
            "full": False,
        },
        "topics": 1,
        "groups": 2,
        "sessions": 3,
        "deferred": 4,
        "dead": 5,
        "pins": "",
        "refused": {},
        **fields,
    }


def test_json(run: Any, client: Any, answers: dict[str, Any], golden: Any) -> None:
    answers["status"] = answer()
    result = run("status", "--json")
    assert result.status == 0
    golden("status", result.records[0])
    assert result.records[0]["store"]["id"] == "01" * 16


def test_for_people(run: Any, client: Any, answers: dict[str, Any]) -> None:
    answers["status"] = answer(pins="group g\x1b", refused={"busy": 1_000, "bad_name": 1})
    text = run("status").out
    assert "serving" in text
    assert "4.0 KiB of 1.0 GiB" in text
    assert "group g\\x1b" in text
    assert "bad_name 1, busy 1,000" in text


@pytest.mark.parametrize(
    "fields", [{"state": "quiescing"}, {"store": {**answer()["store"], "full": True}}]
)
def test_not_taking_pushes_is_75(
    run: Any, client: Any, answers: dict[str, Any], fields: dict[str, Any]
) -> None:
    answers["status"] = answer(**fields)
    result = run("status", "--json")
    assert result.status == trouble.TRY_LATER
    assert result.records


def test_wait_outlasts_a_start(
    run: Any, client: Any, answers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "BETWEEN", 0.001)
    answers["status"] = [Unreachable(), answer(state="quiescing"), answer(), answer()]
    assert run("status", "--wait", "30s").status == 0
    assert len(client.asked) == 4


@pytest.mark.parametrize(
    ("found", "expected"),
    [(Unreachable(), 69), (answer(state="quiescing"), 75), (BadRequest("no"), 1)],
)
def test_waiting_ends(
    run: Any,
    client: Any,
    answers: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    found: Any,
    expected: int,
) -> None:
    monkeypatch.setattr(status, "BETWEEN", 0.001)
    answers["status"] = found
    result = run("status", "--wait", "20ms", "--json")
    assert (result.status, result.out) == (expected, "")
    assert result.error["code"]


def test_watch_goes_on_until_ctrl_c(
    run: Any, client: Any, answers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    naps = iter([None, None])

    def nap(seconds: float) -> None:
        if next(naps, "end") == "end":
            raise KeyboardInterrupt

    monkeypatch.setattr(status.time, "sleep", nap)
    answers["status"] = [answer(), Unreachable(), answer()]
    result = run("status", "--watch", "--json")
    assert result.status == 0
    assert len(result.records) == 2
    assert result.error["code"] == "unreachable"
