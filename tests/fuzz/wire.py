"""Mutated requests against the decoder and the handlers behind it.

A world is one seed: a crowd of clients, a broker on a memory store, and VECTORS mutated messages
among good ones. Owns the course of a world and what is measured of it. Must never know processes.
"""

from __future__ import annotations

import contextlib
import random
import time
import tracemalloc
from typing import Any, NamedTuple

from laybyd.core.events import Poll, Push, Settle
from laybyd.wire.decode import Refusal, decode
from tests.fuzz import judge
from tests.fuzz.corpus import Message, by_size, vectors
from tests.fuzz.handlers import LIMITS, SETTINGS, STORE_BYTES, Handlers
from tests.fuzz.judge import Wrong
from tests.fuzz.mutate import Mutator, donors
from tests.fuzz.pace import slowness
from tests.fuzz.requests import Crowd
from tests.fuzz.runs import Played, failure

VECTORS = 2_000
LIVES = 2
"""Each ends with a polite stop, which answers everything, and a start from the store."""

SLICE_BYTES = 64 << 10
SLICE_NS = 5_000_000
"""So long may an input of so many bytes take, of processor time."""

OUTCOME_NS = 200_000
"""And so long each outcome in it: to park a message, or to look up where a late one is by now, is
work for the disk too, and is paid for by whoever was given that message."""

SUSPECTS = 3
AGAIN = 5
"""The worst times over the bound in a world are measured so often again; the least counts."""

MEMORY_BYTES = 1 << 20
MEMORY_FACTOR = 4
SAMPLES = 8

MUTATED = 0.88
OF_CROWD = 0.4
LARGE = 0.002

_WRAPPED = [[b"\x82\xa2op\xa4push\xa5topic\xa3app", *block] for block in vectors("blocks")]
_SMALL, _LARGE = by_size(
    [*vectors("requests", "operators", "envelope", "maps", "answers"), *_WRAPPED]
)
_DONORS = donors(_SMALL)


class Slow(NamedTuple):
    vector: int
    what: str
    ns: int


class World:
    """`slack`: so many times as long as it may a message may take."""

    def __init__(self, seed: int, slack: float = 1.0) -> None:
        self.seed = seed
        self._slice_ns = SLICE_NS * slack
        self._outcome_ns = OUTCOME_NS * slack
        self.handlers = Handlers()
        self.slow: list[Slow] = []
        self.times: dict[str, int] = {}
        self.slowest_ns = self.peak_bytes = self.mutated = self.stepped = self.refused = 0
        self.message: Message = []
        self.number = 0
        self._rng = random.Random(seed)
        self._crowd = Crowd(self._rng)
        self._mutator = Mutator(self._rng, _DONORS)
        self._asked: dict[bytes, Message] = {}
        self._owed: dict[bytes, int] = {}
        self._sampled: list[Message] = []

    def run(self, upto: int | None = None) -> None:
        """Until the message with that number, or to the end. Raises what goes wrong."""
        for life in range(1, LIVES + 1):
            while self.mutated < VECTORS * life // LIVES:
                self._one()
                if self.number == upto:
                    return
            self._end_life()
            self.handlers.boot()
        for message in self._sampled:
            self._weigh(message)
        self._within_limits()

    # ---- one message

    def _one(self) -> None:
        rng = self._rng
        self.number += 1
        self.message = message = self._next()
        peer = self.number.to_bytes(5)
        if rng.random() < 0.1:
            peer = b"peer%d" % int(rng.random() * 5)
        elif message:
            self._owed[peer] = 1
            self._asked[peer] = message
        if rng.random() < 0.02:
            self.handlers.pass_time(int(rng.random() ** 4 * 10_000_000))
        self.handlers.unsendable = rng.random() < 0.01
        if message:
            self._handle(peer, message)
        self._judge_answers()
        if rng.random() < SAMPLES / VECTORS:
            self._sampled.append(message)

    def _next(self) -> Message:
        rng = self._rng
        if rng.random() < OF_CROWD:
            message = self._crowd.request()
        else:
            of = _LARGE if rng.random() < LARGE else _SMALL
            message = of[int(rng.random() * len(of))]
        if rng.random() < MUTATED:
            self.mutated += 1
            return self._mutator.changed(message)
        return message

    def _handle(self, peer: bytes, message: Message) -> None:
        clock = time.thread_time_ns
        allowed = self._slice_ns * max(1.0, sum(map(len, message)) / SLICE_BYTES)
        began = clock()
        event = self.handlers.decoded([peer, *message])
        self._timed("decode", clock() - began, allowed)
        if event is None:
            self.refused += 1
            return
        self.stepped += 1
        if isinstance(event, Push) and event.producer is not None:
            self._owed.pop(peer, None)
        judged = event.verdicts if isinstance(event, Poll | Settle) else ()
        outcomes = sum(len(verdict.ranges) for verdict in judged)
        began = clock()
        self.handlers.take(event)
        self._timed("step", clock() - began, allowed + self._outcome_ns * outcomes)

    def _timed(self, what: str, ns: int, allowed: float) -> None:
        self.times[what] = ns
        self.slowest_ns = max(self.slowest_ns, ns)
        if ns > allowed:
            self.slow.append(Slow(self.number, what, ns))

    def _judge_answers(self) -> None:
        handlers = self.handlers
        for answer in handlers.answers:
            peer = answer[0]
            judge.judged(answer, self._asked.get(peer))
            if peer in self._owed:
                self._owed[peer] -= 1
                if self._owed[peer] < 0:
                    raise Wrong("a request got two answers")
        handlers.answers.clear()
        for unheard in handlers.unheard:
            self._owed.pop(unheard, None)
        handlers.unheard.clear()
        for delivered in handlers.delivered:
            self._crowd.heard(delivered)
        handlers.delivered.clear()

    # ---- the end

    def _end_life(self) -> None:
        """Whoever asked has been answered; the broker can stop, and start again."""
        self.handlers.quiesce()
        self._judge_answers()
        if not self.handlers.quiesced:
            raise Wrong("the broker does not come to rest")
        silent = [peer for peer, owed in self._owed.items() if owed > 0]
        if silent:
            self.message = self._asked[silent[0]]
            raise Wrong(f"{len(silent)} requests got no answer")
        self._owed.clear()

    def _within_limits(self) -> None:
        """The broker says of itself that it holds no more than it may."""
        status = self._ask(b"\x81\xa2op\xa6status")
        if status["groups"] > SETTINGS.groups_max or status["sessions"] > SETTINGS.sessions_max:
            raise Wrong(f"over a limit: {status}")
        if self.handlers.store.room().used > STORE_BYTES:
            raise Wrong("the store holds more than it may")

    def _ask(self, packed: bytes) -> dict[str, Any]:
        event = self.handlers.decoded([b"operator", packed])
        assert event is not None
        self.handlers.take(event)
        return judge.judged(self.handlers.answers.pop(), [packed])

    def _weigh(self, message: Message) -> None:
        """Decode once more and see how much memory that took at its peak."""
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            with contextlib.suppress(Refusal):
                decode([b"peer", *message], LIMITS)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        self.peak_bytes = max(self.peak_bytes, peak - before)
        size = sum(map(len, message))
        if peak - before > MEMORY_BYTES + MEMORY_FACTOR * size:
            self.message = message
            raise Wrong(f"decoding {size} bytes took {peak - before} bytes of memory")


def played(seed: int) -> Played:
    """One world, and what is wrong with it."""
    world = World(seed)
    failures = []
    try:
        world.run()
    except Exception as error:
        failures.append(failure(seed, world.number, error, world.message))
    suspects = sorted(world.slow, key=lambda slow: slow.ns)[-SUSPECTS:]
    failures += [wrong for slow in suspects if (wrong := _still_slow(seed, slow)) is not None]
    counts = {"stepped": world.stepped, "refused": world.refused}
    most = {"slowest_us": world.slowest_ns // 1_000, "peak_bytes": world.peak_bytes}
    return Played(seed, world.mutated, failures, counts, most)


def _still_slow(seed: int, slow: Slow) -> dict[str, Any] | None:
    """The same world up to the same message: whoever was only disturbed is fast again; and on a
    machine that is slow just now everything is."""
    least = slow.ns
    for _ in range(AGAIN):
        again = World(seed, slowness())
        again.run(upto=slow.vector)
        least = min(least, again.times[slow.what])
        if not any(one == slow._replace(ns=one.ns) for one in again.slow):
            return None
    text = f"{slow.what} took {least / 1e6:.1f} ms of processor time"
    return failure(seed, slow.vector, Wrong(text), again.message)
