"""A commit that fails ends the real daemon with the exit code that says so, and loses nothing."""

from __future__ import annotations

import contextlib
import errno
from typing import TYPE_CHECKING

import pytest

from laybyd.errors import Exit
from loadtests.wire import NoAnswer
from tests.crash.shim import Orders, needed, preloaded
from tests.integration.daemon_process import DaemonProcess, Peers, read_back

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.integration]

NTH = 40
"""Behind what a start flushes or writes; each push does both at least once."""


def pushed_until_it_ends(daemon: DaemonProcess) -> dict[int, bytes]:
    """What was confirmed, by position."""
    confirmed = {}
    peers = Peers(daemon.url)
    with contextlib.closing(peers):
        peer = peers.peer()
        for number in range(2 * NTH):
            data = b"message %d" % number
            try:
                answer = peer.ask("push", topic="app", data=data, within_s=5)
            except NoAnswer:
                break
            confirmed[answer["first"]] = data
    return confirmed


@pytest.mark.parametrize(("call", "error"), [("F", errno.EIO), ("D", errno.EIO), ("W", 0)])
def test_a_failed_commit_ends_the_daemon_with_74(tmp_path: Path, call: str, error: int) -> None:
    needed()
    daemon = DaemonProcess(tmp_path)
    orders = Orders(daemon.store, fault=(call, NTH, error, 1))
    daemon.launch(**preloaded(), **orders.environment())
    daemon.wait_ready()
    confirmed = pushed_until_it_ends(daemon)
    assert daemon.wait() == Exit.COMMIT_FAILED, daemon.log()
    assert "a commit failed" in daemon.log()
    assert confirmed
    with daemon:
        peers = Peers(daemon.url)
        with contextlib.closing(peers):
            found = {position: data for position, _, data in read_back(peers.peer())}
        assert confirmed.items() <= found.items()
        assert len(found) - len(confirmed) in (0, 1)
