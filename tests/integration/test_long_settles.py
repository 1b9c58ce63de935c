"""Requests that take long: whoever sends many waits for them, his neighbour for one."""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING

import pytest

from loadtests.wire import block
from tests.integration.daemon_process import Peers, verdict
from tests.integration.neighbour import Neighbour

if TYPE_CHECKING:
    from tests.integration.conftest import MakeDaemon

pytestmark = [pytest.mark.slow, pytest.mark.integration]

MESSAGES = 8_000
REQUESTS = 60
EARLIER = struct.pack(">IQ", 1, (1 << 36) + 1)
"""A lease of boot 1, which boot 2 has to believe: each of its messages is looked for."""


def test_a_neighbour_waits_for_one_of_them_not_for_all(make_daemon: MakeDaemon):
    daemon = make_daemon()
    daemon.start()
    first = Peers(daemon.url)
    peer = first.peer()
    peer.ask("push", block([b"x"] * MESSAGES), topic="app")
    peer.ask("group_create", group="g", topics=["app"], start="earliest")
    first.close()
    daemon.restart()
    peers, neighbour = Peers(daemon.url), Neighbour(daemon.url)
    neighbour.start()
    neighbour.more_rounds(2)
    neighbour.slowest_s = 0.0
    settle = [verdict(EARLIER, range(1, MESSAGES, 2))]
    peer = peers.peer()
    began = time.monotonic()
    for _ in range(REQUESTS):
        peer.send("settle", group="g", settle=settle)
    for _ in range(REQUESTS):
        answer = peer.receive(60_000)
        assert answer is not None
        assert answer.map["refused"] == []
    took_s = time.monotonic() - began
    neighbour.more_rounds(2)
    neighbour.finish()
    peers.close()
    assert neighbour.slowest_s < took_s / 3
