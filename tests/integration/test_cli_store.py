"""`layby store` on the directories of real daemons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.layby_command import Layby, golden, names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.conftest import MakeDaemon
    from tests.integration.daemon_process import DaemonProcess

pytestmark = pytest.mark.integration


@pytest.fixture
def daemon(make_daemon: MakeDaemon) -> DaemonProcess:
    """With a hundred messages, stopped."""
    daemon = make_daemon()
    daemon.start()
    layby = Layby(daemon.url)
    data = b"".join(b"%d\n" % n for n in range(100))
    assert layby.run("push", "kept", "--lines", "-", data=data).status == 0
    layby.close()
    assert daemon.stop() == 0
    return daemon


@pytest.fixture
def layby(daemon: DaemonProcess) -> Iterator[Layby]:
    made = Layby(daemon.url)
    yield made
    made.close()


def test_a_whole_store(layby: Layby, daemon: DaemonProcess) -> None:
    record = layby.json("store", "check", str(daemon.store))[0]
    assert set(record) == names(golden("store-check"))
    assert (record["messages"], record["problems"]) == (100, [])
    assert "100" in layby.run("store", "check", str(daemon.store)).out.decode()


def test_a_damaged_one(layby: Layby, daemon: DaemonProcess) -> None:
    segment = next(daemon.store.glob("0*.lmdb"))
    data = bytearray(segment.read_bytes())
    at = data.rindex(b"99", 0, len(data))
    data[at] ^= 1
    segment.write_bytes(data)
    result = layby.run("--json", "store", "check", str(daemon.store))
    assert (result.status, result.error["code"]) == (1, "damaged")
    assert segment.name in result.records[0]["problems"][0]


def test_one_in_use(layby: Layby, daemon: DaemonProcess) -> None:
    daemon.start()
    result = layby.run("--json", "store", "check", str(daemon.store))
    assert (result.status, result.error["code"], result.error["retryable"]) == (75, "in_use", True)
    daemon.stop()


def test_there_and_back(layby: Layby, make_daemon: MakeDaemon, daemon: DaemonProcess) -> None:
    copy = daemon.home / "copy"
    copied = layby.json("store", "backup", str(daemon.store), str(copy))[0]
    assert set(copied) == names(golden("store-backup"))
    again = make_daemon("again")
    restored = layby.json("store", "restore", str(copy), str(again.store))[0]
    assert set(restored) == names(golden("store-restore"))
    assert restored["epoch"] == copied["epoch"] + 1
    again.start()
    reader = Layby(again.url)
    out = reader.run("tail", "kept", "--from", "earliest", "--until", "now").out
    reader.close()
    assert out.split() == [b"%d" % n for n in range(100)]


def test_no_store_there(layby: Layby, daemon: DaemonProcess) -> None:
    result = layby.run("--json", "store", "check", str(daemon.home / "nothing"))
    assert result.status == 1
    assert "no store" in result.error["text"]


def test_nothing_is_overwritten(layby: Layby, daemon: DaemonProcess) -> None:
    target = daemon.home / "taken"
    target.mkdir()
    (target / "file").touch()
    assert layby.run("store", "backup", str(daemon.store), str(target)).status == 1
    assert [path.name for path in target.iterdir()] == ["file"]
