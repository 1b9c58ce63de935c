"""Small answers to peers whose queue in libzmq is full: kept for a moment, bounded, in order.

Owns what waits for each peer. Must never know sockets: it is given a way to send. A client may
send a thousand requests at once; its thousand answers then outrun the queue that keeps a peer
which does not read from holding blocks without end.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PEER_BYTES = 1 << 20
"""A confirm or a refusal has about 150 bytes: room for the answers to thousands of requests."""

ALL_BYTES = 64 << 20


class _Peer(NamedTuple):
    answers: deque[Sequence[bytes]]
    used: list[int]


class Backlog:
    """`send` says True: taken; False: still full; it raises KeyError when the peer is gone."""

    def __init__(self, send: Callable[[Sequence[bytes]], bool]) -> None:
        self._send = send
        self._peers: dict[bytes, _Peer] = {}
        self._used = 0

    def __bool__(self) -> bool:
        return bool(self._peers)

    def holds(self, peer: bytes) -> bool:
        """Whether something waits for the peer, so that newer answers belong behind it."""
        return peer in self._peers

    def add(self, answer: Sequence[bytes]) -> bool:
        """Keep it for its peer (the first frame); False when there is no room."""
        size = sum(map(len, answer))
        waiting = self._peers.get(answer[0]) or _Peer(deque(), [0])
        if waiting.used[0] + size > PEER_BYTES or self._used + size > ALL_BYTES:
            return False
        self._peers[answer[0]] = waiting
        waiting.answers.append(answer)
        waiting.used[0] += size
        self._used += size
        return True

    def retry(self) -> int:
        """Send what goes now; how many answers were dropped because their peer is gone."""
        dropped = 0
        for peer, waiting in list(self._peers.items()):
            try:
                while waiting.answers and self._send(waiting.answers[0]):
                    self._forget(waiting, waiting.answers.popleft())
            except KeyError:
                dropped += len(waiting.answers)
                while waiting.answers:
                    self._forget(waiting, waiting.answers.popleft())
            if not waiting.answers:
                del self._peers[peer]
        return dropped

    def _forget(self, waiting: _Peer, answer: Sequence[bytes]) -> None:
        size = sum(map(len, answer))
        waiting.used[0] -= size
        self._used -= size
