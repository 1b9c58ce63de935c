"""No room for the log in a live daemon: what is refused, what goes on, and what comes back."""

from __future__ import annotations

import contextlib
import resource
from typing import TYPE_CHECKING

import pytest

from loadtests.wire import Peer, Refused, deliveries
from tests.integration.daemon_process import DaemonProcess, Peers, acks, poll, read_back

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.integration]

ROOM = 6 << 20
DATA = bytes(60_000)
MOST = 2 * ROOM // len(DATA)


def limit(daemon: DaemonProcess, size: int) -> None:
    """No file of the daemon may grow beyond it: what a full disk is to the one that grows."""
    _, hard = resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (size, hard))


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
