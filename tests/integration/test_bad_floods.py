"""Too much of everything, and bytes that are no ZeroMQ: bounded, and nobody else notices."""

from __future__ import annotations

import itertools
import random
import socket
import struct
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.strangers import GROUPS_MAX, SESSIONS_MAX, packed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadtests.wire import Peer
    from tests.integration.daemon_process import DaemonProcess
    from tests.integration.strangers import World

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("nobody_notices")]

WINDOW = 32

# ---- quantities -------------------------------------------------------------------------------


def codes_of(peer: Peer, requests: Iterator[dict[str, Any]]) -> list[str]:
    """The codes of the answers ("" when ok), WINDOW requests under way at a time."""
    codes = []
    while sent := [peer.send(**request) for request in itertools.islice(requests, WINDOW)]:
        for _ in sent:
            answer = peer.receive(10_000)
            assert answer is not None
            codes.append(answer.map.get("code", ""))
    return codes


def test_groups_are_bounded(world: World):
    peer = world.peers.peer()
    groups = [f"many-{i}" for i in range(200)]
    codes = codes_of(
        peer, ({"op": "group_create", "group": name, "topics": ["t"]} for name in groups)
    )
    assert set(codes) == {"", "over_limit"}
    assert codes.count("") <= GROUPS_MAX
    codes_of(peer, ({"op": "group_delete", "group": name} for name in groups))


def test_sessions_are_bounded(world: World):
    peer = world.peers.peer()
    sessions = [b"session %d" % i for i in range(200)]
    poll = {"op": "poll", "group": "neighbours", "messages": 0, "bytes": 1, "wait_ms": 0, "n": 1}
    codes = codes_of(peer, (poll | {"session": name} for name in sessions))
    assert set(codes) == {"", "over_limit"}
    assert codes.count("") <= SESSIONS_MAX
    goodbye = {"op": "goodbye", "group": "neighbours"}
    assert set(codes_of(peer, (goodbye | {"session": name} for name in sessions))) == {""}


def test_ten_thousand_topics(world: World):
    requests = ({"op": "push", "topic": f"many.{i}", "data": b"x"} for i in range(10_000))
    assert set(codes_of(world.peers.peer(), requests)) == {""}


def test_a_flood_of_rubbish(world: World):
    """50,000 bad requests as fast as they go: the neighbour is still served meanwhile."""
    dealer = world.peers.dealer()
    before = world.neighbour.rounds
    for _ in range(50_000):
        dealer.send(b"\xc1")
        if dealer.poll(0):
            dealer.recv()
    world.neighbour.more_rounds(5)
    assert world.neighbour.rounds > before


def test_a_peer_that_never_reads_its_answers(world: World):
    dealer = world.peers.dealer()
    for _ in range(20_000):
        dealer.send(packed(op="hello"))
    world.neighbour.more_rounds(5)


# ---- below the protocol -----------------------------------------------------------------------

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16) + b"\x00" + bytes(31)

RAW = {
    "nothing": b"",
    "random bytes": random.Random(2).randbytes(500),
    "http": b"GET / HTTP/1.1\r\nHost: layby\r\n\r\n",
    "half a greeting": GREETING[:20],
    "a greeting and silence": GREETING,
    "another mechanism": GREETING.replace(b"NULL", b"EVIL"),
    "a greeting and rubbish": GREETING + random.Random(2).randbytes(300),
    "a command of 2^62 bytes": GREETING + b"\x06" + struct.pack(">Q", 1 << 62),
    "the protocol of 2010": b"\x01\x00" + random.Random(2).randbytes(40),
}


def address(daemon: DaemonProcess) -> tuple[str, int]:
    return "127.0.0.1", int(daemon.url.rpartition(":")[2])


@pytest.mark.parametrize("sent", RAW.values(), ids=RAW.keys())
def test_raw_connections_are_dropped_quietly(world: World, sent: bytes):
    written = len(world.daemon.log())
    for _ in range(100):
        with socket.create_connection(address(world.daemon)) as raw:
            raw.sendall(sent)
    world.neighbour.more_rounds(3)
    assert len(world.daemon.log()) - written < 2_000


READY = b"\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"


def shaken(daemon: DaemonProcess) -> socket.socket:
    """A raw connection behind its handshake."""
    raw = socket.create_connection(address(daemon))
    raw.settimeout(10)
    raw.sendall(GREETING)
    got = b""
    while len(got) < 64:
        got += raw.recv(64 - len(got))
    raw.sendall(READY)
    size = raw.recv(2)[1]
    while size:
        size -= len(raw.recv(size))
    return raw


def test_a_frame_that_says_it_is_too_large_ends_its_connection(world: World):
    for size in (3 << 20, 3 << 30, 1 << 62):
        with shaken(world.daemon) as raw:
            raw.sendall(b"\x02" + struct.pack(">Q", size) + b"x" * 100)
            assert raw.recv(1) == b""


def test_a_hand_made_connection_is_served(world: World):
    """The control: the same handshake with a good request gets its answer."""
    with shaken(world.daemon) as raw:
        request = packed(op="status")
        raw.sendall(bytes([0, len(request)]) + request)
        assert raw.recv(9)


def test_a_message_that_never_ends_its_frame(world: World):
    """It holds its own connection, nobody else's."""
    with shaken(world.daemon) as raw:
        raw.sendall(b"\x02" + struct.pack(">Q", 1 << 20) + b"x" * 1_000)
        world.neighbour.more_rounds(5)
