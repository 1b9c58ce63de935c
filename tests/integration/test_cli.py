"""The everyday verbs against a real broker."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.integration.layby_command import Layby, golden, names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.daemon_process import DaemonProcess

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    from tests.integration.daemon_process import DaemonProcess

    with DaemonProcess(tmp_path_factory.mktemp("cli")) as daemon:
        yield daemon


@pytest.fixture
def layby(home: DaemonProcess) -> Iterator[Layby]:
    made = Layby(home.url)
    yield made
    made.close()


def lines_file(path: Path, number: int) -> str:
    path.write_bytes(b"".join(b"line %d\n" % n for n in range(number)))
    return str(path)


class TestPushAndConsume:
    def test_there_and_back(self, layby: Layby) -> None:
        position = int(layby.run("push", "there", "hällo").out)
        records = layby.json("consume", "there", "--group", "there", "-n", "1")
        assert [(one["position"], one["data"]) for one in records] == [(position, "hällo")]
        assert set(records[0]) == names(golden("consume"))

    def test_bytes_key_and_headers(self, layby: Layby) -> None:
        layby.run("push", "bytes", "-", "--key", "k", "-H", "a=1", data=b"\xff\n")
        record = layby.json("consume", "bytes", "--group", "bytes", "-n", "1")[0]
        assert record["data_b64"] == "/wo="
        assert (record["key"], record["headers"]) == ("k", {"a": "1"})

    def test_lines(self, layby: Layby, tmp_path: Path) -> None:
        record = layby.json("push", "lines", "--lines", lines_file(tmp_path / "in", 5_000))[0]
        assert record["messages"] == 5_000
        found = layby.run("consume", "lines", "--group", "lines", "-n", "5000", "--wait", "30s")
        assert found.status == 0
        assert found.out == (tmp_path / "in").read_bytes()

    def test_ctrl_c_confirms_what_was_read(self, layby: Layby) -> None:
        push = layby.start("push", "half", "--lines", "-", stdin=subprocess.PIPE)
        assert push.stdin is not None
        push.stdin.write(b"one\ntwo\nthr")
        push.stdin.flush()
        words = ("tail", "half", "--from", "earliest", "-n", "2")
        assert layby.run(*words).out == b"one\ntwo\n"
        push.send_signal(signal.SIGINT)
        result = layby.finish(push)
        assert result.status == 130
        assert "2 messages confirmed" in result.err

    def test_an_ack_is_for_ever(self, layby: Layby) -> None:
        for n in range(4):
            layby.run("push", "once", str(n))
        assert layby.run("consume", "once", "--group", "once", "-n", "2").out == b"0\n1\n"
        assert layby.run("consume", "once", "--group", "once", "-n", "2").out == b"2\n3\n"

    def test_fewer_than_wanted(self, layby: Layby) -> None:
        layby.run("push", "few", "x")
        result = layby.run("consume", "few", "--group", "few", "-n", "2", "--wait", "300ms")
        assert (result.status, result.out) == (4, b"x\n")

    def test_wait_alone_takes_what_is_there(self, layby: Layby) -> None:
        layby.run("push", "some", "x")
        result = layby.run("consume", "some", "--group", "some", "--wait", "300ms")
        assert (result.status, result.out) == (0, b"x\n")

    def test_a_closed_pipe_gives_the_rest_back(self, layby: Layby, tmp_path: Path) -> None:
        number = 50_000
        layby.run("push", "pipe", "--lines", lines_file(tmp_path / "in", number))
        consume = layby.start("consume", "pipe", "--group", "pipe")
        assert consume.stdout is not None
        assert consume.stdout.readline() == b"line 0\n"
        consume.stdout.close()
        consume.stdout = None
        result = layby.finish(consume)
        assert (result.status, result.err) == (0, "")
        rest = layby.run("consume", "pipe", "--group", "pipe", "--wait", "500ms").lines
        assert len(rest) == len(set(rest)) > 0
        assert max(int(line.split()[1]) for line in rest) == number - 1
        first = min(int(line.split()[1]) for line in rest)
        assert len(rest) == number - first

    def test_ctrl_c_ends_and_gives_back(self, layby: Layby) -> None:
        layby.run("push", "int", "x")
        consume = layby.start("consume", "int", "--group", "int")
        assert consume.stdout is not None
        assert consume.stdout.readline() == b"x\n"
        consume.send_signal(signal.SIGINT)
        assert layby.finish(consume)[::2] == (0, "")
        sessions = [one["sessions"] for one in layby.json("groups") if one["name"] == "int"]
        assert sessions == [0]


@pytest.fixture(scope="module")
def filled(home: DaemonProcess) -> str:
    """A topic whose messages stand between those of another."""
    layby = Layby(home.url)
    for n in range(20):
        layby.run("push", f"tail.{'ab'[n % 2]}", str(n))
    layby.close()
    return "tail.a"


class TestTail:
    def test_what_is_there(self, layby: Layby, filled: str) -> None:
        out = layby.run("tail", filled, "--from", "earliest", "--until", "now").out
        assert out.split() == [b"%d" % n for n in range(0, 20, 2)]

    def test_the_last_ones(self, layby: Layby, filled: str) -> None:
        words = ("tail", filled, "--until", "now", "--from")
        assert layby.run(*words, "-3").out.split() == [b"14", b"16", b"18"]
        assert layby.run(*words, "-100").out.split() == [b"%d" % n for n in range(0, 20, 2)]

    def test_a_pattern(self, layby: Layby, filled: str) -> None:
        records = layby.json("tail", "tail.*", "--from", "-4", "-n", "4")
        assert [one["data"] for one in records] == ["16", "17", "18", "19"]
        assert set(records[0]) == names(golden("tail"))

    def test_since(self, layby: Layby, filled: str) -> None:
        assert len(layby.run("tail", filled, "--from", "1h", "--until", "now").lines) == 10
        assert layby.run("tail", filled, "--from", "now", "--until", "now").out == b""

    def test_it_follows(self, layby: Layby, filled: str) -> None:
        tail = layby.start("tail", "follow", "--from", "earliest", "-n", "2")
        layby.run("push", "follow", "one")
        layby.run("push", "follow", "two")
        assert layby.finish(tail)[:2] == (0, b"one\ntwo\n")

    def test_it_takes_no_work(self, layby: Layby, filled: str) -> None:
        layby.run("tail", filled, "--from", "earliest", "--until", "now")
        assert not [one for one in layby.json("groups") if "tail.a" in one["topics"]]


class TestLooking:
    def test_status(self, layby: Layby, home: DaemonProcess) -> None:
        record = layby.json("status")[0]
        assert set(record) == names(golden("status"))
        assert record["state"] == "serving"
        assert "serving" in layby.run("status").out.decode()

    def test_status_waits_for_a_broker(self, layby: Layby) -> None:
        assert layby.run("status", "--wait", "30s").status == 0
        nobody = layby.run("--url", "tcp://127.0.0.1:9", "--json", "status", "--wait", "300ms")
        assert nobody.status == 69
        assert nobody.error["code"] == "unreachable"

    def test_topics(self, layby: Layby) -> None:
        layby.run("push", "look.a", "x")
        layby.run("push", "look.a", "y")
        record = layby.json("topics", "ls", "look.*")[0]
        assert set(record) == names(golden("topics"))
        assert (record["name"], record["messages"]) == ("look.a", 2)

    def test_a_topic_is_deleted(self, layby: Layby) -> None:
        layby.run("push", "gone", "x")
        assert layby.run("topics", "delete", "gone").status == 2
        assert layby.run("topics", "delete", "gone", "--yes").status == 0
        assert layby.json("topics", "ls", "gone") == []
        assert layby.run("topics", "delete", "gone", "--yes").status == 1

    def test_a_group_from_birth_to_death(self, layby: Layby) -> None:
        layby.run("groups", "create", "made", "born.*", "--start", "latest", "--set", "lease=45s")
        layby.run("groups", "set", "made", "max_attempts=3", "--topics", "born.a,born.b")
        record = layby.json("groups", "show", "made")[0]
        assert names(golden("groups-show")) == set(record)
        assert record["topics"] == ["born.a", "born.b"]
        assert record["settings"]["lease_ms"] == 45_000
        assert record["settings"]["max_attempts"] == 3
        shown = layby.run("groups", "show", "made").out.decode()
        assert "45s" in shown
        assert [set(one) for one in layby.json("groups", "ls", "made")] == [names(golden("groups"))]
        assert layby.run("groups", "delete", "made", "--yes").status == 0
        gone = layby.run("--json", "groups", "show", "made")
        assert (gone.status, gone.error["code"]) == (1, "unknown_group")

    def test_another_subscription_is_refused_with_the_way_out(self, layby: Layby) -> None:
        layby.run("groups", "create", "mine", "one")
        result = layby.run("--json", "consume", "two", "--group", "mine", "-n", "1")
        assert (result.status, result.error["code"]) == (1, "subscription_differs")
        assert "groups set" in result.error["hint"]


class TestTrouble:
    def test_nobody_there_is_69(self, layby: Layby) -> None:
        words = ("--url", "tcp://127.0.0.1:9", "--timeout", "300ms")
        result = layby.run(*words, "--json", "push", "x", "y")
        assert (result.status, result.out) == (69, b"")
        assert set(result.error) == {"code", "text", "retryable", "hint"}

    def test_a_bad_name_is_refused(self, layby: Layby) -> None:
        assert layby.run("push", "bad name", "y").status == 1

    def test_push_without_data_never_waits(self, layby: Layby) -> None:
        assert layby.finish(layby.start("push", "x", stdin=subprocess.PIPE)).status == 2

    def test_too_large_a_line_names_itself(self, layby: Layby) -> None:
        data = b"a\nb\n" + bytes(2 << 20) + b"\nc\n"
        result = layby.run("push", "large", "--lines", "-", data=data)
        assert result.status == 3
        assert "line 3" in result.err
        assert layby.run("tail", "large", "--from", "earliest", "-n", "2").out == b"a\nb\n"
