from __future__ import annotations

from typing import Any

from layby.cli import trouble


def group(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "topics": ["app.*", "db"],
        "floor": 5,
        "waiting": 1_000,
        "out": 2,
        "deferred": 3,
        "dead": 4,
        "sessions": 1,
        "handlers": 8,
        **fields,
    }


WHOLE = group(
    "g",
    start=1,
    made_us=1_763_929_561_000_000,
    settings={"lease_ms": 30_000, "backoff_ms": [10_000, 60_000], "max_attempts": 6},
    sessions_list=[
        {
            "session": b"\x01" * 16,
            "name": "c\x1b[1",
            "handlers": 8,
            "idle": 8,
            "leases": 1,
            "out": 2,
        }
    ],
)


def test_list(run: Any, client: Any, answers: dict[str, Any], golden: Any) -> None:
    answers["groups"] = {"groups": [group("g")], "more": False}
    golden("groups", run("groups", "--json").records[0])
    line = run("groups").out.splitlines()[1]
    assert line.split() == ["g", "app.*", "db", "1,000", "2", "3", "4", "1", "8"]


def test_show(run: Any, client: Any, answers: dict[str, Any], golden: Any) -> None:
    answers["group"] = WHOLE
    golden("groups-show", run("groups", "show", "g", "--json").records[0])
    text = run("groups", "show", "g").out
    assert "10s,1m" in text
    assert "010101010101" in text
    assert "c\\x1b[1" in text


def test_create(run: Any, client: Any, answers: dict[str, Any], golden: Any) -> None:
    answers["group_create"] = {}
    result = run(
        "groups", "create", "g", "app.*", "db", "--start", "latest", "--set", "lease=45s", "--json"
    )
    golden("groups-create", result.records[0])
    assert client.asked == [
        (
            "group_create",
            {
                "group": "g",
                "topics": ["app.*", "db"],
                "start": "latest",
                "settings": {"lease_ms": 45_000},
            },
        )
    ]


def test_set(run: Any, client: Any, answers: dict[str, Any], golden: Any) -> None:
    answers["group_set"] = {}
    result = run("groups", "set", "g", "max_attempts=3", "--topics", "a,b", "--json")
    golden("groups-set", result.records[0])
    assert client.asked[0][1] == {
        "group": "g",
        "topics": ["a", "b"],
        "settings": {"max_attempts": 3},
    }


def test_set_needs_something(run: Any, client: Any) -> None:
    assert run("groups", "set", "g").status == trouble.USAGE


def test_a_wrong_setting_is_misuse(run: Any, client: Any) -> None:
    result = run("groups", "set", "g", "leese=5s")
    assert result.status == trouble.USAGE
    assert "did you mean 'lease'" in result.err


def test_delete(run: Any, client: Any, answers: dict[str, Any], golden: Any) -> None:
    answers["group_delete"] = {}
    assert run("groups", "delete", "g").status == trouble.USAGE
    golden("groups-delete", run("groups", "delete", "g", "-y", "--json").records[0])
