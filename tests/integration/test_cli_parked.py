"""`layby deferred` and `layby dead` against a real broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.layby_command import Layby, golden, names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.daemon_process import DaemonProcess

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    from tests.integration.daemon_process import DaemonProcess

    with DaemonProcess(tmp_path_factory.mktemp("parked")) as daemon:
        yield daemon


@pytest.fixture
def layby(home: DaemonProcess) -> Iterator[Layby]:
    made = Layby(home.url)
    yield made
    made.close()


def park(layby: Layby, group: str, how: str, *words: str) -> list[int]:
    """Push these words and have each refused in this way; the positions."""
    import layby as library

    with library.connect(layby.url) as client:
        positions = [client.push(group, word, key="k", headers={"h": "v"}) for word in words]
        client.request(
            "group_create", group=group, topics=[group], settings={"backoff_ms": [10**7]}
        )
        with client.consume(group, group=group) as consumer:
            for number, message in enumerate(consumer, 1):
                getattr(message, how)(f"no {message.text}\x1b[2J")
                if number == len(words):
                    break
            consumer.flush(10)
    return positions


def listed(layby: Layby, lane: str, group: str) -> list[dict[str, Any]]:
    return layby.json(lane, "ls", "--group", group)


@pytest.mark.parametrize(("lane", "how"), [("deferred", "fail"), ("dead", "reject")])
def test_listing(layby: Layby, lane: str, how: str) -> None:
    group = f"list.{lane}"
    positions = park(layby, group, how, "a", "b", "c")
    records = listed(layby, lane, group)
    assert [one["from"] for one in records] == positions
    assert set(records[0]) == names(golden(lane))
    text = layby.run(lane, "--group", group).out.decode()
    assert "no a\\x1b[2J" in text
    assert len(text.splitlines()) == 4
    chosen = layby.json(lane, "ls", "--group", group, "--reason", "no b")
    assert [one["from"] for one in chosen] == positions[1:2]


@pytest.mark.parametrize(("lane", "how"), [("deferred", "fail"), ("dead", "reject")])
def test_showing(layby: Layby, lane: str, how: str) -> None:
    group = f"show.{lane}"
    first, second = park(layby, group, how, "a", "bytes")
    record = layby.json(lane, "show", "--group", group, str(second))[0]
    assert set(record) == names(golden("parked-show"))
    assert (record["position"], record["data"], record["key"]) == (second, "bytes", "k")
    assert record["headers"] == {"h": "v"}
    text = layby.run(lane, "show", "--group", group, str(first)).out.decode()
    assert text.endswith("\na\n")
    assert "no a\\x1b[2J" in text
    missing = layby.run("--json", lane, "show", "--group", group, "999999")
    assert (missing.status, missing.error["code"]) == (1, "not_parked")


def test_showing_many(layby: Layby) -> None:
    """More than fit one answer."""
    words = [f"word {n}" for n in range(40)]
    positions = park(layby, "many", "reject", *words)
    span = f"{positions[0]}-{positions[-1]}"
    records = layby.json("dead", "show", "--group", "many", span)
    assert [one["data"] for one in records] == words


def test_retry_hands_out_again(layby: Layby) -> None:
    first, second = park(layby, "again", "reject", "a", "b")
    done = layby.json("dead", "retry", "--group", "again", str(first), "--yes")[0]
    assert set(done) == names(golden("dead-retry"))
    assert done["done"] == 1
    record = layby.json("consume", "again", "--group", "again", "-n", "1")[0]
    assert (record["position"], record["attempts"], record["data"]) == (first, 0, "a")
    assert [one["from"] for one in listed(layby, "dead", "again")] == [second]


def test_retry_of_all_deferred(layby: Layby) -> None:
    park(layby, "soon", "fail", "a", "b", "c")
    assert layby.json("deferred", "retry", "--group", "soon", "--all", "--yes")[0]["done"] == 3
    records = layby.json("consume", "soon", "--group", "soon", "-n", "3")
    assert sorted(one["data"] for one in records) == ["a", "b", "c"]


def test_drop_is_for_good(layby: Layby) -> None:
    first, second = park(layby, "drop", "reject", "a", "b")
    assert layby.run("dead", "drop", "--group", "drop", str(first)).status == 2
    result = layby.run("dead", "drop", "--group", "drop", str(first), "999999", "--yes")
    assert result.status == 3
    assert [one["from"] for one in listed(layby, "dead", "drop")] == [second]
    again = layby.run("--json", "dead", "drop", "--group", "drop", str(first), "--yes")
    assert (again.status, again.error["code"]) == (1, "not_parked")


def test_of_no_group_nothing_is_parked(layby: Layby) -> None:
    result = layby.run("--json", "dead", "--group", "nobody")
    assert (result.status, result.error["code"]) == (1, "unknown_group")
