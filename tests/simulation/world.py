"""One heap of things to happen, one virtual clock, one source of chance.

Owns time. Knows nothing of brokers, clients or rules.
"""

from __future__ import annotations

import hashlib
import heapq
import random
import re
from collections import deque
from collections.abc import Callable

MS = 1_000
SECOND = 1_000_000
START_US = 1_700_000_000 * SECOND


class World:
    def __init__(self, seed: int, trace: int = 300) -> None:
        self.now = self.begun = START_US
        self.steps = 0
        self.random = random.Random(seed)
        self._heap: list[tuple[int, int, Callable[..., None], tuple[object, ...]]] = []
        self._order = 0
        self._trace: deque[tuple[int, str, object]] = deque(maxlen=trace)
        self._hash: hashlib._Hash | None = None

    def after(self, delay_us: int, call: Callable[..., None], *args: object) -> None:
        """Things for the same instant happen in the order they were asked for."""
        self._order += 1
        heapq.heappush(self._heap, (self.now + max(0, delay_us), self._order, call, args))

    def run(self, done: Callable[[], bool]) -> None:
        """Until `done` says so (asked before each step) or nothing is left to happen."""
        while self._heap and not done():
            self.now, _, call, args = heapq.heappop(self._heap)
            self.steps += 1
            call(*args)

    def chance(self, probability: float) -> bool:
        return probability > 0 and self.random.random() < probability

    def between(self, low: int, high: int) -> int:
        return self.random.randint(low, high)

    def pause(self, mean_us: float) -> int:
        """A waiting time with that mean: mostly short, now and then long."""
        return int(self.random.expovariate(1 / mean_us))

    # ---- for whoever reads a failure --------------------------------------------------------

    def note(self, who: str, what: object) -> None:
        self._trace.append((self.now, who, what))
        if self._hash is not None:
            self._hash.update(f"{self.steps} {self.now} {who} {what}\n".encode())

    def hash_all(self) -> None:
        """From now on every note goes into one hash: two runs are the same, or they are not."""
        self._hash = hashlib.sha256()

    @property
    def digest(self) -> str:
        return "" if self._hash is None else self._hash.hexdigest()

    def trace(self) -> list[str]:
        return [
            f"{(at - START_US) / SECOND:14.6f} {who:>10} {_short(what)}"
            for at, who, what in self._trace
        ]


def _short(what: object) -> str:
    """Bodies tell nothing: what is in them is a number."""
    return re.sub(r"body=b'[^']*'", "body=…", str(what))[:1_000]
