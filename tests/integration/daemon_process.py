"""What tests need of a real daemon beyond starting it: peers, deliveries, reading back.

Owns short cuts. Must never know what a test is about. The process itself is `loadtests.daemon`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import zmq

from loadtests.daemon import DaemonProcess, NotReady
from loadtests.wire import Answer, Delivery, Peer, bodies, deliveries, positions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "Answer",
    "DaemonProcess",
    "Delivery",
    "NotReady",
    "Peer",
    "Peers",
    "deliveries",
    "positions",
]


class Peers:
    """Connections that are closed together."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._context = zmq.Context()
        self._open: list[Peer] = []

    def peer(self) -> Peer:
        peer = Peer(self._context, self._url)
        self._open.append(peer)
        return peer

    def dealer(self) -> zmq.Socket[bytes]:
        """A bare socket, for what a Peer would never send."""
        return self.peer().socket

    def close(self) -> None:
        self._context.destroy(linger=0)


def poll(peer: Peer, group: str, **fields: Any) -> Answer:
    """A level 1 poll for plenty; `fields` change it."""
    usual = {"topics": ["*"], "messages": 1_000, "bytes": 1 << 20, "wait_ms": 5_000}
    return peer.ask("poll", group=group, **usual | fields)


def verdict(lease: bytes, positions: Sequence[int], outcome: str = "ack") -> dict[str, Any]:
    """One entry of a settle: each position a range of its own."""
    ranges = [end for position in sorted(positions) for end in (position, position)]
    return {"lease": lease, "ranges": ranges, "outcome": outcome}


def acks(found: Sequence[Delivery]) -> list[dict[str, Any]]:
    """Settle entries that ack all of these."""
    leases: dict[bytes, list[int]] = {}
    for delivery in found:
        leases.setdefault(delivery.lease, []).append(delivery.position)
    return [verdict(lease, positions) for lease, positions in leases.items()]


def read_back(peer: Peer, topics: Sequence[str] = ("*",)) -> Iterator[tuple[int, str, bytes]]:
    """(position, topic, data) of everything in the log."""
    status = peer.ask("status")
    at, end = 1, status["store"]["end"]
    while at < end:
        answer = peer.ask("read", topics=list(topics), **{"from": at}, until=end, limit=10_000)
        for block, frame in zip(answer["blocks"], answer.blocks, strict=True):
            for position, data in zip(positions(block["ranges"]), bodies(frame), strict=True):
                yield position, block["topic"], data
        at = answer["next"]
