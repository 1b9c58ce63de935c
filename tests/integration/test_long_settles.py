"""Requests that take long: whoever sends many waits for them, his neighbour for one."""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING

import pytest

from loadtests.wire import block
from tests.integration.daemon_process import Peers, verdict
from tests.integration.neighbour import Neighbour
from tests.integration.strangers import World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadtests.wire import Peer
    from tests.integration.conftest import MakeDaemon

pytestmark = [pytest.mark.slow, pytest.mark.integration]

MESSAGES = 8_000
REQUESTS = 60
FLOOD = 600
MEMORY_BYTES = 200 << 20
EARLIER = struct.pack(">IQ", 1, (1 << 36) + 1)
"""A lease of boot 1, which boot 2 has to believe: each of its messages is looked for."""


@pytest.fixture
def world(make_daemon: MakeDaemon) -> Iterator[World]:
    daemon = make_daemon()
    daemon.start()
    first = Peers(daemon.url)
    peer = first.peer()
    peer.ask("push", block([b"x"] * MESSAGES), topic="app")
    peer.ask("group_create", group="g", topics=["app"], start="earliest")
    first.close()
    daemon.restart()
    world = World(daemon, Peers(daemon.url), Neighbour(daemon.url))
    world.neighbour.start()
    world.neighbour.more_rounds(2)
    yield world
    world.neighbour.finish()
    world.peers.close()


def send_settles(peer: Peer, count: int) -> None:
    settle = [verdict(EARLIER, range(1, MESSAGES, 2))]
    for _ in range(count):
        peer.send("settle", group="g", settle=settle)


def test_a_neighbour_waits_for_one_of_them_not_for_all(world: World):
    world.neighbour.slowest_s = 0.0
    peer = world.peers.peer()
    began = time.monotonic()
    send_settles(peer, REQUESTS)
    for _ in range(REQUESTS):
        answer = peer.receive(60_000)
        assert answer is not None
        assert answer.map["refused"] == []
    took_s = time.monotonic() - began
    world.neighbour.more_rounds(2)
    assert world.neighbour.slowest_s < took_s / 3


def test_who_sends_more_than_can_wait_is_refused_and_costs_no_more_memory(world: World):
    """14 MB of settles, which are 360 MB once decoded."""
    before = world.daemon.memory_bytes()
    peer = world.peers.peer()
    send_settles(peer, FLOOD)
    refused = 0
    while refused < FLOOD // 2:
        answer = peer.receive(10_000)
        assert answer is not None
        if not answer.map["ok"]:
            told = answer.map
            assert (told["code"], told["retryable"], told["retry_ms"]) == ("busy", True, 100)
        refused += not answer.map["ok"]
    assert world.daemon.memory_bytes() - before < MEMORY_BYTES
    world.neighbour.more_rounds(2)
