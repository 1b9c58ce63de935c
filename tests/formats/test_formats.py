"""Stores of every released format open with all that is in them, and clients of every released
protocol are still understood. There is one version of each so far; a second one adds its files."""

from __future__ import annotations

import json
import re
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from laybyd.errors import Exit
from laybyd.store import statedb
from laybyd.store.check import walk
from laybyd.store.statedb import StateDb
from laybyd.wire.block import crc_ok
from laybyd.wire.encode import PROTOCOL
from loadtests.daemon import DaemonProcess, NotReady
from tests.formats.make import HERE, SETTINGS, contents
from tests.formats.vectors import broken, noted, today
from tests.integration.daemon_process import Peers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORMATS = range(1, statedb.FORMAT + 1)


def expected(number: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HERE / f"format-{number}.json").read_text())
    return found


def unpacked(number: int, folder: Path) -> Path:
    folder.mkdir(parents=True)
    with tarfile.open(HERE / f"format-{number}.tar.xz") as packed:
        packed.extractall(folder, filter="data")
    return folder


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    made = DaemonProcess(tmp_path / "daemon", SETTINGS)
    yield made
    if made.running:
        made.kill()


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.parametrize("number", FORMATS)
def test_a_store_of_a_released_format_opens_with_all_that_is_in_it(
    daemon: DaemonProcess, number: int
):
    unpacked(number, daemon.store)
    assert walk(daemon.store, crc_ok).problems == ()
    daemon.start()
    peers = Peers(daemon.url)
    found = json.loads(json.dumps(contents(peers.peer())))
    peers.close()
    known = expected(number)
    assert found == known
    assert len(known["log"]) > 500
    assert all(known["parked"][f"busy.{lane}"] for lane in ("deferred", "dead"))


def test_the_kept_store_is_of_several_segments_and_knows_producers(tmp_path: Path):
    store = unpacked(1, tmp_path / "store")
    state = statedb.open_to_read(store / "state.lmdb")
    state.close()
    assert (state.meta.format, state.meta.last - state.meta.first) == (1, 4)
    assert b"producer-1" in (store / "00000005.lmdb").read_bytes()


@pytest.mark.integration
@pytest.mark.slow
def test_a_store_of_a_newer_format_is_refused_with_a_sentence(daemon: DaemonProcess):
    unpacked(statedb.FORMAT, daemon.store)
    state = StateDb(daemon.store / "state.lmdb", 1 << 20)
    state.set_meta(state.load_meta()._replace(format=statedb.FORMAT + 1))
    state.close()
    before = {path.name: path.read_bytes() for path in daemon.store.glob("*.lmdb")}
    with pytest.raises(NotReady, match=f"exit {int(Exit.NO_RIGHT)}"):
        daemon.start()
    sentence = f"state.lmdb: it was made by another version of layby (format {statedb.FORMAT + 1})"
    assert sentence in daemon.log()
    assert {path.name: path.read_bytes() for path in daemon.store.glob("*.lmdb")} == before


def test_every_format_and_protocol_that_was_released_is_kept():
    stores = {int(path.name[7:-7]) for path in HERE.glob("format-*.tar.xz")}
    assert stores == set(FORMATS)
    clients = {int(path.stem[9:]) for path in HERE.glob("protocol-*.json")}
    assert clients == set(range(1, PROTOCOL + 1))


@pytest.mark.parametrize("version", range(1, PROTOCOL + 1))
def test_what_clients_of_a_released_protocol_rely_on_still_stands(version: int):
    """The codecs of broker and client are held against the vectors of today elsewhere; here it is
    said that those of a release are among them, unchanged."""
    released = noted(version)
    assert len(released) > 300
    assert broken(released, today()) == []


def test_a_vector_that_changes_or_goes_is_noticed_and_a_new_one_is_not():
    current = today()
    name = next(name for name in current if re.search("push", name))
    assert broken(current, current | {"requests/vectors/of tomorrow": "0"}) == []
    assert broken(current, current | {name: "0"}) == [name]
    assert broken(current, {one: it for one, it in current.items() if one != name}) == [name]
