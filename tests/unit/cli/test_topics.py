from __future__ import annotations

from typing import Any

from layby.cli import trouble

from .conftest import refusal


def topic(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "first": 1,
        "last": 9,
        "messages": 9,
        "bytes": 2_048,
        "last_us": 1_763_929_561_000_000,
        "groups": 1,
        **fields,
    }


def test_all_pages_are_one_list(
    run: Any, client: Any, answers: dict[str, Any], golden: Any
) -> None:
    answers["topics"] = [
        {"topics": [topic("a"), topic("b")], "more": True},
        {"topics": [topic("c", later_field=1)], "more": False},
    ]
    records = run("topics", "--json").records
    assert [record["name"] for record in records] == ["a", "b", "c"]
    assert client.asked[1][1]["after"] == "b"
    for record in records:
        golden("topics", record)


def test_a_table_for_people(run: Any, client: Any, answers: dict[str, Any]) -> None:
    answers["topics"] = {"topics": [topic("app.web"), topic("db", last_us=0)], "more": False}
    lines = run("topics").out.splitlines()
    assert lines[0].split() == [
        "TOPIC",
        "MESSAGES",
        "SIZE",
        "FIRST",
        "LAST",
        "GROUPS",
        "LAST",
        "PUSH",
    ]
    assert lines[1].startswith("app.web")
    assert lines[1].endswith("ago")
    assert lines[2].endswith("-")


def test_patterns_choose(run: Any, client: Any, answers: dict[str, Any]) -> None:
    answers["topics"] = {"topics": [topic("app.web"), topic("db")], "more": False}
    assert [one["name"] for one in run("topics", "ls", "app.*", "--json").records] == ["app.web"]


def test_nothing_is_said_on_stderr(run: Any, client: Any, answers: dict[str, Any]) -> None:
    answers["topics"] = {"topics": [], "more": False}
    assert run("topics") == (0, "", "no topics\n")


def test_delete_asks_and_without_a_terminal_refuses(
    run: Any, client: Any, answers: dict[str, Any]
) -> None:
    answers["topic_delete"] = {}
    result = run("topics", "delete", "a")
    assert result.status == trouble.USAGE
    assert "--yes" in result.err
    assert client.asked == []


def test_delete(run: Any, client: Any, answers: dict[str, Any], golden: Any) -> None:
    answers["topic_delete"] = {}
    result = run("topics", "delete", "a", "b", "--yes", "--json")
    assert [fields["topic"] for _, fields in client.asked] == ["a", "b"]
    golden("topics-delete", result.records[0])


def test_deleting_some_is_partly_done(run: Any, client: Any, answers: dict[str, Any]) -> None:
    answers["topic_delete"] = [{}, refusal("unknown_topic"), {}]
    result = run("topics", "delete", "a", "b", "c", "--yes")
    assert result.status == trouble.PARTLY
    assert len(client.asked) == 3
    assert "refused: unknown_topic" in result.err


def test_deleting_none_is_refused(run: Any, client: Any, answers: dict[str, Any]) -> None:
    answers["topic_delete"] = refusal("unknown_topic")
    assert run("topics", "delete", "a", "--yes").status == trouble.REFUSED
