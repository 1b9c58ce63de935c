"""A client that makes the store do all it can, and writes down what it was told.

Owns the traffic: pushes with and without a sequence, lone and packed, acks and every kind of
failure, with pushes and settles under way at the same time. Must never judge. Each thing that is
sent is marked before, each answer right after it came.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

from loadtests.wire import block, deliveries
from tests.crash.knowledge import body

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from tests.crash.broker import Broker

ANSWER_S = 30.0
GROUPS = ("fast", "slow")
TOPICS = ("app.a", "app.b", "app.c")
SIZES = (40, 300, 1_500, 3_000, 5_000, 9_000)
OUTCOMES = ("ack",) * 12 + ("fail", "defer", "reject", "release")
LATER_MS = 3_600_000
LIVE_FAILURES = 40
"""In one boot: more would look like an outage, in which failures are not counted."""


class Nameless(Exception):
    """A refusal that does not say of what: the broker could not even read the request."""


class Flight(NamedTuple):
    """A request that has no answer yet."""

    names: tuple[str, ...] = ()
    settle: tuple[str, int] | None = None


class Workload:
    """`mark` is told everything; `tag` sets its names apart from those of other runs."""

    def __init__(self, broker: Broker, mark: Callable[..., None], rng: Random, tag: str) -> None:
        self.broker = broker
        self.refusals: list[str] = []
        self._mark = mark
        self._rng = rng
        self._tag = tag
        self._names = itertools.count(1)
        self._settles = itertools.count(1)
        self._seqs = {f"{tag}p{number}": 0 for number in range(2)}
        self._flights: dict[bytes, Flight] = {}
        self._pushes: dict[tuple[str, int], tuple[str, ...]] = {}
        self._made: set[str] = set()

    def begin(self) -> None:
        """The daemon has been started (again): nothing is under way. Every group is made now, for
        one that is made later begins at what the log still holds."""
        self._flights.clear()
        self._pushes.clear()
        self._failures = LIVE_FAILURES
        for group in GROUPS:
            self.work(group, 1)

    def round(self) -> None:
        """Some pushes, and settles of what a group gets, answered in whatever order."""
        for _ in range(self._rng.randint(1, 5)):
            self.push(self._rng.choice(SIZES))
        if self._rng.random() < 0.4:
            self.wait()
        for group in GROUPS if self._rng.random() < 0.5 else GROUPS[:1]:
            self.work(group, self._rng.randint(1, 12))
        self.wait()

    # ---- pushing

    def push(self, size: int) -> None:
        rng = self._rng
        count = rng.choice((1, 1, 1, 3))
        names = tuple(f"{self._tag}m{next(self._names)}" for _ in range(count))
        topic = rng.choice(TOPICS)
        packed = count > 1 or rng.random() < 0.3
        producer, fields = "", {}
        if rng.random() < 0.7:
            producer = rng.choice(sorted(self._seqs))
            self._seqs[producer] += 1
            fields = {"producer": producer.encode(), "seq": self._seqs[producer]}
        seq = self._seqs[producer] if producer else 0
        told = {"producer": producer, "seq": seq, "topic": topic, "size": size, "packed": packed}
        self._mark(do="push", names=names, **told)
        bodies = [body(name, size) for name in names]
        if packed:
            ident = self.broker.peer.send("push", block(bodies), topic=topic, **fields)
        else:
            ident = self.broker.peer.send("push", topic=topic, data=bodies[0], **fields)
        if producer:
            self._pushes[producer, seq] = names
        else:
            self._flights[ident] = Flight(names)

    def _confirmed(self, answer: Any) -> None:
        producer = answer["producer"].decode()
        for seq, first in zip(
            range(answer["from"], answer["upto"] + 1), answer["first"], strict=True
        ):
            names = self._pushes.pop((producer, seq), None)
            if names:
                self._mark(do="stored", names=names, first=first)

    def _push_refused(self, answer: Any) -> None:
        """The sequence goes on where the broker says."""
        producer, seq = answer["producer"].decode(), answer["seq"]
        self.refusals.append(answer["code"])
        self._mark(do="refused", names=self._pushes.pop((producer, seq)))
        self._seqs[producer] = min(self._seqs[producer], seq - 1)

    # ---- settling

    def work(self, group: str, messages: int) -> None:
        """Poll once, and send outcomes for all that comes, in one or two requests."""
        self._mark(do="poll", group=group)
        fields = {"group": group, "topics": ["app.*"], "messages": messages, "bytes": 1 << 20}
        found = self._answer_to_poll(self.broker.peer.send("poll", wait_ms=20, **fields))
        if found is None:
            return
        if group not in self._made:
            self._made.add(group)
            self._mark(do="made", group=group)
        middle = self._rng.randint(0, len(found))
        for part in (found[:middle], found[middle:]):
            if part:
                self._settle(group, part)

    def _settle(self, group: str, found: list[Any]) -> None:
        number = next(self._settles)
        entries, sent = [], []
        for got in found:
            outcome = self._outcome(got)
            entries.append((got.position, outcome, got.lane, got.attempts))
            one = {"lease": got.lease, "ranges": [got.position] * 2, "outcome": outcome}
            sent.append(one | ({"delay_ms": LATER_MS} if outcome == "defer" else {}))
        self._mark(do="settle", group=group, number=number, entries=entries)
        ident = self.broker.peer.send("settle", group=group, settle=sent)
        self._flights[ident] = Flight(settle=(group, number))

    def _outcome(self, got: Any) -> str:
        outcome = self._rng.choice(OUTCOMES)
        if outcome == "fail" and got.lane == "live":
            self._failures -= 1
            return outcome if self._failures >= 0 else "ack"
        return outcome

    # ---- answers

    def wait(self) -> None:
        """Until nothing is under way."""
        while self._flights or self._pushes:
            self._take(self.broker.answer(ANSWER_S))

    def _answer_to_poll(self, ident: bytes) -> list[Any] | None:
        """What came, or None when it was refused."""
        while True:
            answer = self.broker.answer(ANSWER_S)
            if answer.map.get("id") != ident:
                self._take(answer)
            elif answer["ok"]:
                return deliveries(answer)
            else:
                self.refusals.append(answer["code"])
                return None

    def _take(self, answer: Any) -> None:
        if answer.map.get("op") == "confirm":
            self._confirmed(answer)
        elif not answer["ok"] and "producer" in answer.map:
            self._push_refused(answer)
        elif "id" not in answer.map:
            self.refusals.append(answer["code"])
            raise Nameless(answer["text"])
        else:
            self._answered(self._flights.pop(answer["id"]), answer)

    def _answered(self, flight: Flight, answer: Any) -> None:
        if flight.settle:
            group, number = flight.settle
            assert answer["ok"], answer.map
            assert not answer["refused"], answer.map
            self._mark(do="settled", group=group, number=number)
        elif answer["ok"]:
            self._mark(do="stored", names=flight.names, first=answer["first"])
        else:
            self.refusals.append(answer["code"])
            self._mark(do="refused", names=flight.names)
