"""Many worlds over few processes: progress to stderr, one account at the end.

Owns the processes and the adding up. Must never know what a world is about.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import sys
import time
import traceback
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

FAILURES_SHOWN = 20
FRAME_SHOWN = 2_000
SAID_EVERY_S = 5.0


class Played(NamedTuple):
    """One world's share of the account. `counts` are added up, of `most` the highest counts."""

    seed: int
    count: int
    failures: list[dict[str, Any]]
    counts: dict[str, int]
    most: dict[str, int]


def failure(seed: int, vector: int, error: Exception, message: Sequence[bytes]) -> dict[str, Any]:
    """What there is to say of it, and the frames that did it."""
    where = traceback.extract_tb(error.__traceback__)
    return {
        "seed": seed,
        "vector": vector,
        "what": f"{type(error).__name__}: {error}"[:500],
        "where": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in where[-3:]],
        "frames_hex": [bytes(frame[:FRAME_SHOWN]).hex() for frame in message[:12]],
    }


class Account:
    """The sum of what was played."""

    def __init__(self, method: str, seed: int) -> None:
        self._began = time.monotonic()
        self._said = self._began
        self.method = method
        self.seed = seed
        self.worlds = 0
        self.count = 0
        self.failures: list[dict[str, Any]] = []
        self.counts: Counter[str] = Counter()
        self.most: dict[str, int] = {}

    def add(self, played: Played) -> None:
        self.worlds += 1
        self.count += played.count
        self.failures += played.failures
        self.counts.update(played.counts)
        for name, value in played.most.items():
            self.most[name] = max(value, self.most.get(name, value))
        for found in played.failures:
            sys.stderr.write(f"FAILED seed {found['seed']}: {found['what']}\n")
        self._say()

    @property
    def seconds(self) -> float:
        return round(time.monotonic() - self._began, 1)

    def _say(self) -> None:
        now = time.monotonic()
        if now - self._said > SAID_EVERY_S:
            self._said = now
            rate = self.count / (now - self._began)
            sys.stderr.write(
                f"{self.method}: {self.count:,} in {self.seconds} s ({rate:,.0f}/s), "
                f"next seed {self.seed + self.worlds}, {len(self.failures)} failures\n"
            )

    def as_dict(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "seed": self.seed,
            "worlds": self.worlds,
            "count": self.count,
            "seconds": self.seconds,
            **self.counts,
            **self.most,
            "failures": self.failures[:FAILURES_SHOWN],
        }

    def line(self) -> str:
        return json.dumps(self.as_dict())


def settled(play: Callable[[int], Played], seed: int) -> Played:
    """One world without the collector's pauses, which would look like slow code."""
    gc.collect()
    gc.disable()
    try:
        return play(seed)
    finally:
        gc.enable()


def run(
    method: str,
    play: Callable[[int], Played],
    seeds: range,
    workers: int = 2,
    seconds: float | None = None,
) -> Account:
    """Every seed, or as many as begin within `seconds`."""
    account = Account(method, seeds.start)
    with ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=gc.freeze
    ) as pool:
        for some in _portions(seeds, 16 * workers):
            if seconds is not None and account.seconds >= seconds:
                break
            for played in pool.map(settled, [play] * len(some), some):
                account.add(played)
    return account


def _portions(seeds: range, size: int) -> Iterator[range]:
    for start in range(seeds.start, seeds.stop, size):
        yield range(start, min(start + size, seeds.stop))
