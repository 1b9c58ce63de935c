"""Leases and due times go by the time that passes, whatever the wall clock says meanwhile."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from loadtests.daemon import DaemonProcess
from loadtests.wire import deliveries
from tests.clocks import shifted
from tests.clocks.shifted import HOUR, set_wall
from tests.integration.daemon_process import Peers, acks, verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.daemon_process import Delivery, Peer

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(240)]

LEASE_S = 2.0
BACKOFF_S = 3.0
STOP_S = float(os.environ.get("LAYBY_STOP_S", "4"))
"""LAYBY_STOP_S=60 for the whole minute."""

PATIENCE_S = 60.0
MESSAGES = 8
SETTINGS = {
    "groups.lease": f"{LEASE_S:.0f}s",
    "groups.backoff": f"[{BACKOFF_S:.0f}s]",
    "groups.max_attempts": 4,
    "groups.idle_after": "50ms",
    "broker.restart_grace": "50ms",
}


class Ran:
    """A daemon with a wall of its own, and who asks it for work."""

    def __init__(self, home: Path) -> None:
        self.daemon = DaemonProcess(home, SETTINGS)
        self._wall = home / "wall"
        set_wall(self._wall, 0)
        self.start()
        self._n = 0

    def start(self) -> None:
        self.daemon.launch(sys.executable, shifted.__file__, str(self._wall))
        self.daemon.wait_ready()
        self.peers = Peers(self.daemon.url)
        self.peer = self.peers.peer()

    def set_wall(self, hours: float) -> None:
        set_wall(self._wall, int(hours * HOUR))

    def restart(self, hours: float) -> None:
        self.end()
        self.set_wall(hours)
        self.start()

    def end(self) -> None:
        self.peers.close()
        self.daemon.kill()

    def push(self) -> None:
        for number in range(MESSAGES):
            self.peer.ask("push", topic="app", data=b"%d" % number)

    def poll(self, peer: Peer, wait_s: float) -> list[Delivery]:
        fields: dict[str, Any] = {"topics": ["app"], "messages": 100, "bytes": 1 << 20}
        return deliveries(peer.ask("poll", group="g", wait_ms=int(wait_s * 1_000), **fields))

    def gather(self, wanted: set[int]) -> dict[int, float]:
        """Poll until all of these have come, ack each; when each came. No other, and none twice."""
        came: dict[int, float] = {}
        end = time.monotonic() + PATIENCE_S
        while came.keys() != wanted:
            assert time.monotonic() < end, f"only {sorted(came)} of {sorted(wanted)} came"
            found = self.poll(self.peer, 1.0)
            for one in found:
                assert one.position in wanted - came.keys(), "nobody waits for this one"
                came[one.position] = time.monotonic()
            if found:
                assert not self.peer.ask("settle", group="g", settle=acks(found))["refused"]
        return came


@pytest.fixture
def ran(tmp_path: Path) -> Iterator[Ran]:
    made = Ran(tmp_path / "daemon")
    yield made
    made.end()


@pytest.mark.parametrize("hours", [(5,), (-5,), (12, -12, 3)])
def test_a_wall_that_jumps_moves_no_lease_and_nothing_due(ran: Ran, hours: tuple[int, ...]):
    holder = ran.peers.peer()
    ran.push()
    began = time.monotonic()
    held = ran.poll(holder, 5.0)
    assert len(held) == MESSAGES
    bad = held[0]
    failing = time.monotonic()
    holder.ask("settle", group="g", settle=[verdict(bad.lease, [bad.position], "fail")])
    for one in hours:
        ran.set_wall(one)
        assert ran.poll(ran.peer, 0.2) == []
    came = ran.gather({one.position for one in held})
    assert came.pop(bad.position) - failing >= BACKOFF_S
    assert min(came.values()) - began >= LEASE_S
    assert ran.poll(ran.peer, 0.3) == []


@pytest.mark.parametrize("hours", [-3, 3])
def test_a_wall_that_jumps_over_a_restart(ran: Ran, hours: int):
    """Back: what is deferred waits its time from then on, not three hours. Forth: it may be early,
    as the broker cannot know; but it comes once."""
    ran.push()
    held = ran.poll(ran.peer, 5.0)
    failing = time.monotonic()
    entries = [verdict(one.lease, [one.position], "fail") for one in held]
    ran.peer.ask("settle", group="g", settle=entries)
    ran.restart(hours)
    came = ran.gather({one.position for one in held})
    if hours < 0:
        assert min(came.values()) - failing >= BACKOFF_S
    assert ran.poll(ran.peer, 0.3) == []


def test_a_machine_that_stands_still_takes_nobodys_lease(ran: Ran):
    holder = ran.peers.peer()
    ran.push()
    held = ran.poll(holder, 5.0)
    ran.daemon.signal(signal.SIGSTOP)
    threading.Event().wait(STOP_S)
    ran.daemon.signal(signal.SIGCONT)
    assert ran.poll(ran.peer, 0.3) == []
    assert not holder.ask("settle", group="g", settle=acks(held))["refused"]
    assert ran.poll(ran.peer, LEASE_S + 0.5) == []
    assert "stood still" in ran.daemon.log()
