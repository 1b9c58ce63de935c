"""How much of what was received is not done yet.

Owns both bounds on it: on the bytes of pushes, and on the maps of all other requests, which become
some 25 times as large once they are decoded. A connection may always have as much waiting as one
request may hold, so that nobody's flood keeps others from being heard. Must never know what a
request is for, or how it is refused.

The front-end's thread takes in, whoever has the core's turn lets go: each counts for itself.
"""

from __future__ import annotations

from collections import deque

from laybyd.wire.limits import LARGE_MAP_BYTES

REQUESTS_BYTES = 4 << 20

REQUEST_BYTES = 512
"""What a request costs in memory besides its map."""


class _Share:
    """What one connection has waiting."""

    __slots__ = ("size", "sizes")

    def __init__(self) -> None:
        self.sizes: deque[int] = deque()
        self.size = 0


class Pending:
    def __init__(self, pushes_bytes: int) -> None:
        self._pushes_bytes = pushes_bytes
        self._pushed = 0
        self._stored = 0
        self._shares: dict[bytes, _Share] = {}
        self._size = 0
        self._done: deque[bytes] = deque()

    # ---- the front-end's thread

    def push(self, size: int) -> bool:
        """A push has come, and is let go of in any case; whether it is within its bound."""
        self._pushed += size
        return self._pushed - self._stored <= self._pushes_bytes

    def request(self, peer: bytes, map_bytes: int) -> bool:
        """Another request has come; False: it is one too many, and does not count."""
        while self._done:
            self._forget(self._done.popleft())
        size = map_bytes + REQUEST_BYTES
        share = self._shares.get(peer)
        if share is None:
            share = self._shares[peer] = _Share()
        elif self._size + size > REQUESTS_BYTES and share.size + size > LARGE_MAP_BYTES:
            return False
        share.sizes.append(size)
        share.size += size
        self._size += size
        return True

    def _forget(self, peer: bytes) -> None:
        """The oldest one: a connection's requests are done in their order."""
        share = self._shares[peer]
        size = share.sizes.popleft()
        share.size -= size
        self._size -= size
        if not share.sizes:
            del self._shares[peer]

    # ---- whoever has the turn

    def push_done(self, size: int) -> None:
        self._stored += size

    def request_done(self, peer: bytes) -> None:
        self._done.append(peer)
