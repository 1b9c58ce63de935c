"""Fixtures: real daemons on loopback over temporary stores, ended with the test."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.integration.daemon_process import DaemonProcess, Peers
from tests.integration.neighbour import Neighbour
from tests.integration.strangers import GROUPS_MAX, SESSIONS_MAX, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    MakeDaemon = Callable[..., DaemonProcess]

NOTICED_S = 1.0
GROWN_BYTES = 48 << 20
"""What a well-behaved client may at most feel of a bad one, and the daemon keep of it. A round is
three requests with two flushes; the bound leaves room for a busy machine."""


@pytest.fixture
def make_daemon(tmp_path: Path) -> Iterator[MakeDaemon]:
    """A daemon that is not started yet, its settings as keywords: `store__path="x"`. Whatever it
    wrote is shown when the test fails."""
    made: list[DaemonProcess] = []

    def make(home: str = "daemon", **settings: object) -> DaemonProcess:
        named = {key.replace("__", "."): value for key, value in settings.items()}
        made.append(DaemonProcess(tmp_path / home, named))
        return made[-1]

    yield make
    for daemon in made:
        if daemon.running:
            daemon.kill()
        sys.stderr.write(f"---- laybyd in {daemon.home.name} wrote:\n{daemon.log()}\n")


@pytest.fixture
def daemon(make_daemon: MakeDaemon) -> DaemonProcess:
    """A daemon at its defaults, serving."""
    daemon = make_daemon()
    daemon.start()
    return daemon


@pytest.fixture
def peers(daemon: DaemonProcess) -> Iterator[Peers]:
    """Connections to `daemon`."""
    peers = Peers(daemon.url)
    yield peers
    peers.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    limits = {"limits.groups": GROUPS_MAX, "limits.sessions": SESSIONS_MAX}
    daemon = DaemonProcess(tmp_path_factory.mktemp("bad"), limits)
    daemon.start()
    peers, neighbour = Peers(daemon.url), Neighbour(daemon.url)
    neighbour.start()
    yield World(daemon, peers, neighbour)
    neighbour.finish()
    peers.close()
    assert daemon.stop() == 0
    assert "Traceback" not in daemon.log()


@pytest.fixture
def nobody_notices(world: World) -> Iterator[None]:
    """Around each test the neighbour gets on and the daemon does not grow."""
    neighbour = world.neighbour
    neighbour.more_rounds(2)
    before = world.daemon.memory_bytes()
    neighbour.slowest_s = 0.0
    yield
    neighbour.more_rounds(2)
    assert neighbour.slowest_s < NOTICED_S
    assert world.daemon.memory_bytes() - before < GROWN_BYTES
