"""When what is due: a heap whose entries can be moved and taken back at no cost.

Owns the order of instants. Must never know what happens at one.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

SLACK = 64
"""Entries the heap may hold beyond twice those in use before it is made anew."""


class Deadlines(Generic[K]):
    """One instant per key. Moving one *later* is a single store: most deadlines are moved or taken
    back long before they come (leases are settled), so the heap is corrected when it is read."""

    __slots__ = ("_at", "_heap", "_queued", "_serial")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, K]] = []
        self._at: dict[K, int] = {}
        self._queued: dict[K, int] = {}
        self._serial = 0

    def __len__(self) -> int:
        return len(self._at)

    def set(self, key: K, at: int) -> None:
        self._at[key] = at
        queued = self._queued.get(key)
        if queued is None or at < queued:
            self._push(key, at)

    def cancel(self, key: K) -> None:
        self._at.pop(key, None)
        self._keep_small()

    def next(self) -> int | None:
        while self._heap:
            at, _, key = self._heap[0]
            wanted = self._at.get(key)
            if wanted == at:
                return at
            self._drop_head()
            if wanted is not None and key not in self._queued:
                self._push(key, wanted)
        return None

    def due(self, now: int) -> Iterator[K]:
        """Take out every key whose time has come, earliest first."""
        while (at := self.next()) is not None and at <= now:
            key = self._heap[0][2]
            self._drop_head()
            del self._at[key]
            yield key

    def _push(self, key: K, at: int) -> None:
        self._serial += 1
        self._queued[key] = at
        heappush(self._heap, (at, self._serial, key))
        self._keep_small()

    def _drop_head(self) -> None:
        at, _, key = heappop(self._heap)
        if self._queued.get(key) == at:
            del self._queued[key]

    def _keep_small(self) -> None:
        if len(self._heap) > 2 * len(self._at) + SLACK:
            self._rebuild()

    def _rebuild(self) -> None:
        self._heap = [(at, number, key) for number, (key, at) in enumerate(self._at.items())]
        self._serial = len(self._heap)
        self._queued = dict(self._at)
        heapify(self._heap)
