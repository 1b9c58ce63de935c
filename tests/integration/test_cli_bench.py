"""`layby bench`: that it measures what it says and leaves nothing behind."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.integration.layby_command import Layby, golden, names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.daemon_process import DaemonProcess

pytestmark = pytest.mark.integration

MESSAGES = {"push": 20_000, "sync": 20, "consume": 20_000, "e2e": 20_000, "fan-in": 300}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    from tests.integration.daemon_process import DaemonProcess

    with DaemonProcess(tmp_path_factory.mktemp("bench")) as daemon:
        yield daemon


@pytest.fixture
def layby(home: DaemonProcess) -> Iterator[Layby]:
    made = Layby(home.url)
    yield made
    made.close()


def nothing_is_left(layby: Layby) -> bool:
    return layby.json("topics", "ls", "layby.bench.*") == layby.json("groups", "ls", "*") == []


@pytest.mark.parametrize("name", MESSAGES)
def test_one_object_with_all_figures(layby: Layby, name: str) -> None:
    words = ("bench", name, "--runs", "2", "--messages", str(MESSAGES[name]))
    record, *more = layby.json(*words)
    assert more == []
    extra = {"plain_messages_per_s"} if name == "consume" else set()
    assert set(record) == names(golden("bench")) | extra
    assert (record["bench"], record["size"]) == (name, 200)
    assert len(record["runs"]) == 2
    for run in record["runs"]:
        assert MESSAGES[name] <= run["messages"] <= MESSAGES[name] + 64
        assert run["messages_per_s"] > 0
        assert 0 < run["p50_ms"] <= run["p99_ms"]
    assert record["disk_64k_mb_per_s"] is None
    assert record["disk_4k_p50_ms"] is None
    assert nothing_is_left(layby)


def test_options(layby: Layby) -> None:
    words = ("bench", "push", "--runs", "1", "--seconds", "100ms", "--size", "1KiB")
    record = layby.json(*words, "--block", "16KiB", "--window", "2")[0]
    assert record["size"] == 1_024
    assert record["runs"][0]["seconds"] >= 0.1
    record = layby.json("bench", "e2e", "--runs", "1", "--messages", "5000", "--threads")[0]
    assert record["runs"][0]["messages"] == 5_000


def test_a_table_for_people(layby: Layby, tmp_path: Path) -> None:
    words = ("bench", "sync", "--runs", "2", "--messages", "5", "--disk", str(tmp_path))
    result = layby.run(*words)
    lines = result.lines
    assert [line.split()[0] for line in lines] == ["RUN", "1", "2", "median", "disk:"]
    assert "one push at a time" in result.err
    assert "run 2 of 2" in result.err


def test_too_small_a_message_is_misuse(layby: Layby) -> None:
    assert layby.run("bench", "push", "--size", "1").status == 2


@pytest.mark.parametrize("name", ["push", "e2e", "fan-in"])
def test_ctrl_c_leaves_nothing_behind(layby: Layby, name: str) -> None:
    bench = layby.start("bench", name, "--seconds", "60s")
    watcher = layby.start("tail", "layby.bench.*", "--from", "earliest", "-n", "1")
    assert layby.finish(watcher).status == 0
    bench.send_signal(signal.SIGINT)
    result = layby.finish(bench)
    assert (result.status, result.out) == (130, b"")
    assert "Traceback" not in result.err
    assert nothing_is_left(layby)
