"""The last blocks received, so that a reader who keeps up costs no disk read.

Owns a bounded map from a block's first position to its bytes as they came in. Must never know
what is inside a block or who reads it. Used by whoever has the turn.
"""

from __future__ import annotations

from collections import OrderedDict

ENTRY_BYTES = 512
"""What an entry costs besides its bytes: objects and their places in the map."""


class Ring:
    """Forgets the oldest blocks when what they cost passes `limit_bytes`."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self._blocks: OrderedDict[int, tuple[object, int]] = OrderedDict()

    def add(self, first: int, body: object, size: int) -> None:
        cost = size + ENTRY_BYTES
        self._blocks[first] = (body, cost)
        self.used_bytes += cost
        while self.used_bytes > self.limit_bytes:
            _, (_, gone) = self._blocks.popitem(last=False)
            self.used_bytes -= gone

    def get(self, first: int) -> object | None:
        entry = self._blocks.get(first)
        return None if entry is None else entry[0]
