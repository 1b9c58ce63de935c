from __future__ import annotations

from typing import Any

from layby.cli import trouble

NOW = 1_763_929_561_000_000


def entry(first: int, last: int | None = None, **fields: Any) -> dict[str, Any]:
    return {
        "from": first,
        "to": last or first,
        "topic": "app",
        "attempts": 2,
        "due_us": NOW,
        "bytes": 20,
        "alone": False,
        "generation": 0,
        "history": [
            {"at_us": NOW, "reason": "ValueError: no\x1b[2J", "consumer": "c", "counted": True}
        ],
        **fields,
    }


def page(*entries: dict[str, Any], more: bool = False) -> dict[str, Any]:
    return {"parked": list(entries), "more": more}


def test_list(run: Any, client: Any, answers: dict[str, Any], golden: Any) -> None:
    answers["parked"] = page(entry(7), entry(10, 12))
    records = run("deferred", "ls", "--group", "g", "--json").records
    golden("deferred", records[0])
    lines = run("deferred", "--group", "g").out.splitlines()
    assert lines[1].split()[:3] == ["7", "app", "2"]
    assert lines[2].startswith("10-12")
    assert "ValueError: no\\x1b[2J" in lines[1]


def test_the_dead_are_never_due(
    run: Any, client: Any, answers: dict[str, Any], golden: Any
) -> None:
    answers["parked"] = page(entry(7))
    golden("dead", run("dead", "ls", "--group", "g", "--json").records[0])
    assert run("dead", "ls", "--group", "g").out.splitlines()[1].split()[3] == "-"
    assert client.asked[0][1]["lane"] == "dead"


def test_filters_and_limit(run: Any, client: Any, answers: dict[str, Any]) -> None:
    answers["parked"] = page(entry(1), entry(2, topic="db"), entry(3, history=[]), entry(4))
    words = ("dead", "ls", "--group", "g", "--json", "--topic", "app", "--reason", "ValueError")
    assert [one["from"] for one in run(*words).records] == [1, 4]
    assert [one["from"] for one in run(*words, "-n", "1").records] == [1]


def test_a_group_must_be_named(run: Any) -> None:
    assert run("deferred").status == trouble.USAGE


def test_moving_needs_a_choice(run: Any, client: Any) -> None:
    result = run("dead", "retry", "--group", "g", "--yes")
    assert result.status == trouble.USAGE
    assert "--all" in result.err
    assert run("dead", "drop", "--group", "g", "--yes", "--all", "7").status == trouble.USAGE


def test_moving_asks(run: Any, client: Any, answers: dict[str, Any]) -> None:
    result = run("dead", "drop", "--group", "g", "7")
    assert result.status == trouble.USAGE
    assert "Drop 1 dead message of group g?" in result.err
    assert client.asked == []


def test_retry_by_position(run: Any, client: Any, answers: dict[str, Any], golden: Any) -> None:
    answers["retry"] = {"done": 4, "missing": []}
    result = run("dead", "retry", "--group", "g", "7", "10-12", "--yes", "--json")
    assert result.status == 0
    golden("dead-retry", result.records[0])
    assert client.asked == [("retry", {"group": "g", "lane": "dead", "ranges": [7, 7, 10, 12]})]


def test_drop_all(run: Any, client: Any, answers: dict[str, Any], golden: Any) -> None:
    answers["parked"] = [page(entry(7), more=True), page(entry(10, 12))]
    answers["drop"] = {"done": 4, "missing": []}
    result = run("deferred", "drop", "--group", "g", "--all", "--yes", "--json")
    golden("deferred-drop", result.records[0])
    assert client.asked[-1] == (
        "drop",
        {"group": "g", "lane": "deferred", "ranges": [7, 7, 10, 12]},
    )


def test_a_filter_narrows_positions(run: Any, client: Any, answers: dict[str, Any]) -> None:
    answers["parked"] = page(entry(7), entry(8, topic="db"))
    answers["retry"] = {"done": 1, "missing": []}
    run("dead", "retry", "--group", "g", "7-8", "--topic", "db", "--yes")
    assert client.asked[0][1]["ranges"] == [7, 8]
    assert client.asked[1][1]["ranges"] == [8, 8]


def test_some_missing_is_partly_done(run: Any, client: Any, answers: dict[str, Any]) -> None:
    answers["retry"] = {"done": 1, "missing": [8, 9]}
    result = run("dead", "retry", "--group", "g", "7-9", "--yes")
    assert result.status == trouble.PARTLY
    assert "8-9" in result.err


def test_all_missing_is_refused(run: Any, client: Any, answers: dict[str, Any]) -> None:
    answers["retry"] = {"done": 0, "missing": [7, 7]}
    result = run("dead", "retry", "--group", "g", "7", "--yes", "--json")
    assert result.status == trouble.REFUSED
    assert result.error["code"] == "not_parked"


def test_nothing_that_fits_is_nothing_to_do(run: Any, client: Any, answers: dict[str, Any]) -> None:
    answers["parked"] = page()
    result = run("dead", "retry", "--group", "g", "--all", "--yes")
    assert result.status == 0
    assert "nothing dead" in result.err
