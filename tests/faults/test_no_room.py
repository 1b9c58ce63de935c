"""No room for the log in a live daemon: what is refused, what goes on, and what comes back."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from loadtests.wire import Peer, Refused, deliveries
from tests.integration.daemon_process import DaemonProcess, Peers, acks, poll, read_back

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.integration]

ROOM = 6 << 20
DATA = bytes(60_000)
MOST = 2 * ROOM // len(DATA)


def limit(daemon: DaemonProcess, size: int) -> None:
    """No file of the daemon may grow beyond it: what a full disk is to the one that grows."""
    _, hard = resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (size, hard))


SMALL = 'mount -t tmpfs -o size=64m layby-test "$1" && shift && exec "$@"'
SETTINGS = {"store.max_bytes": "256MiB", "store.segment_bytes": "8MiB"}
COMES_BACK_S = 20.0


def below_a_small_disk(disk: Path) -> list[str]:
    """A command in front of another one, which then sees a small file system at `disk`."""
    return ["unshare", "--map-root-user", "--mount", "sh", "-c", SMALL, "sh", str(disk)]


@pytest.fixture
def crowded(tmp_path: Path) -> Iterator[tuple[DaemonProcess, Path]]:
    """A daemon whose store is on a small disk, and that disk as seen from here."""
    daemon, disk = DaemonProcess(tmp_path, SETTINGS), tmp_path / "disk"
    disk.mkdir()
    daemon.store = disk / "store"
    trial = [*below_a_small_disk(disk), "true"]
    if not shutil.which("unshare") or subprocess.run(trial, check=False).returncode:
        pytest.skip("this machine lets nobody mount a small file system of his own")
    daemon.launch(*below_a_small_disk(disk))
    daemon.wait_ready()
    yield daemon, Path(f"/proc/{daemon.pid}/root{disk}")
    daemon.kill()


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(1 << 20)):
            pass


def pushed_until_refused(peer: Peer) -> tuple[int, Refused | None]:
    """How many were confirmed, and the refusal."""
    for count in range(MOST):
        try:
            peer.ask("push", topic="app", data=DATA)
        except Refused as refusal:
            return count, refusal
    return MOST, None


def test_pushes_are_refused_and_the_rest_goes_on(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path) as daemon, contextlib.closing(Peers(daemon.url)) as peers:
        peer = peers.peer()
        peer.ask("push", topic="app", data=b"first")
        limit(daemon, ROOM)
        taken, refusal = pushed_until_refused(peer)
        assert 10 < taken < MOST
        assert refusal is not None
        assert refusal.code == "store_full"
        assert refusal.answer["retryable"]
        assert refusal.answer["retry_ms"] > 0
        assert "no room" in refusal.answer["text"]
        assert pushed_until_refused(peer)[0] == 0
        found = deliveries(poll(peer, "g", messages=5))
        assert found[0].data == b"first"
        assert not peer.ask("settle", group="g", settle=acks(found))["refused"]
        assert len(list(read_back(peer))) == taken + 1
        limit(daemon, resource.RLIM_INFINITY)
        peer.ask("push", topic="app", data=b"last")
        daemon.restart()
        whole = [data for _, _, data in read_back(peer)]
        assert whole == [b"first", *[DATA] * taken, b"last"]
        assert deliveries(poll(peer, "g", messages=1))[0].position == found[-1].position + 1


def test_a_disk_that_was_full_is_found_to_have_room_again(
    crowded: tuple[DaemonProcess, Path],
) -> None:
    """Nobody pushes, settles or trims meanwhile: the daemon has to look by itself."""
    daemon, disk = crowded
    with contextlib.closing(Peers(daemon.url)) as peers:
        peer = peers.peer()
        peer.ask("push", topic="app", data=b"first")
        fill(disk / "somebody's")
        refusal = [pushed_until_refused(peer)[1] for _ in range(2)][1]
        assert refusal is not None
        assert "disk" in refusal.answer["text"]
        assert "topic app" not in refusal.answer["text"]
        (disk / "somebody's").unlink()
        until = time.monotonic() + COMES_BACK_S
        while pushed_until_refused(peer)[0] == 0:
            assert time.monotonic() < until, "there is room, and it is still refused"
            os.sched_yield()
