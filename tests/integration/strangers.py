"""What tests of bad input share: a daemon with a neighbour, and requests in all shapes.

Owns how bytes are sent and how an answer is told from silence. Must never know which are bad.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack

if TYPE_CHECKING:
    from tests.integration.daemon_process import DaemonProcess, Peers
    from tests.integration.neighbour import Neighbour

GROUPS_MAX = SESSIONS_MAX = 50
INT_MAX = (1 << 53) - 1


class World(NamedTuple):
    daemon: DaemonProcess
    peers: Peers
    neighbour: Neighbour

    def answer(self, *frames: bytes) -> dict[str, Any]:
        """The answer to these frames."""
        dealer = self.peers.dealer()
        dealer.send_multipart(list(frames))
        assert dealer.poll(10_000), "no answer"
        answer = msgpack.unpackb(dealer.recv_multipart()[-1])
        dealer.close()
        return answer

    def code(self, *frames: bytes) -> str:
        answer = self.answer(*frames)
        assert answer["ok"] is False
        assert answer["fault"] in ("yours", "ours")
        assert answer["text"].isprintable()
        return answer["code"]


def packed(**fields: object) -> bytes:
    return msgpack.packb(fields)


def push(**fields: object) -> bytes:
    return packed(**{"op": "push", "topic": "t"} | fields)


def polled(**fields: object) -> bytes:
    usual = {"op": "poll", "group": "g", "topics": ["t"], "messages": 1, "bytes": 1, "wait_ms": 0}
    return packed(**usual | fields)


def settled(*ranges: object, group: str = "neighbours", **fields: object) -> bytes:
    entry = {"lease": b"lease", "ranges": list(ranges), "outcome": "ack"} | fields
    return packed(op="settle", group=group, settle=[entry])


def nested(depth: int) -> bytes:
    """{"op": "status", "x": [[[...]]]} as deep as told; the map itself is 1."""
    return b"\x82\xa2op\xa6status\xa1x" + b"\x91" * (depth - 1) + b"\xc0"
