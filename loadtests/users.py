"""Locust users that speak layby's protocol over gevent-friendly sockets.

Owns how a producer and a consumer behave, and what locust is told: every request with its time,
pushes from the instant they were meant to be sent. Must never judge a run.
"""

from __future__ import annotations

import itertools
import os
import random
from typing import TYPE_CHECKING, Any, ClassVar

import gevent
import zmq
import zmq.green
from locust import User, task
from locust.exception import StopUser

from loadtests.wire import Answer, Delivery, NoAnswer, Peer, Refused, block, deliveries, positions
from loadtests.world import ACK, FAIL, GROUP, POISON, World
from tests.audit.tape import Tape, TapedSocket, now_us

if TYPE_CHECKING:
    from collections.abc import Sequence

PADDING = b"." * 160
SOCKETS = 8_192
_context: zmq.Context[Any] = zmq.green.Context()
_context.max_sockets = SOCKETS
_numbers = itertools.count(1)


class GreenPeer(Peer):
    """Waits without `select`, which knows no descriptor above 1,023. What it hears and says goes
    on the tape."""

    def __init__(self, url: str, tape: Tape) -> None:
        super().__init__(_context, url)
        self.socket = TapedSocket(self.socket, tape)

    def receive(self, wait_ms: int) -> Answer | None:
        with gevent.Timeout(wait_ms / 1_000, False):
            return Answer.of(self.socket.recv_multipart())
        return None


class BrokerUser(User):
    """A connection of its own; `ask` is a request that locust hears of."""

    abstract = True

    def on_start(self) -> None:
        self.world: World = self.environment.world
        self.name = f"{type(self).__name__.lower()}-{next(_numbers)}"
        self.tape = self.world.tape(self.name)
        self.peer = self.connected()

    def connected(self) -> Peer:
        assert self.host is not None
        return GreenPeer(self.host, self.tape)

    def on_stop(self) -> None:
        self.peer.close()

    def ask(
        self, op: str, frame: bytes | None = None, since_us: int | None = None, **fields: Any
    ) -> Answer | None:
        """The answer; None when it was refused or did not come, which locust counts."""
        since_us = since_us or now_us()
        error: Exception | None = None
        answer = None
        try:
            answer = self.peer.ask(op, frame, **fields)
        except (Refused, NoAnswer) as caught:
            error = caught
        self.tell(op, now_us() - since_us, sum(map(len, answer.blocks)) if answer else 0, error)
        return answer

    def tell(self, what: str, took_us: int, size: int, error: Exception | None = None) -> None:
        self.environment.events.request.fire(
            request_type=type(self).__name__,
            name=what,
            response_time=took_us / 1_000,
            response_length=size,
            exception=error,
            context={},
        )


# ---- producers --------------------------------------------------------------------------------


class Producer(BrokerUser):
    """Pushes blocks at an even pace that no answer holds up: late ones count from when they were
    meant to go."""

    abstract = True
    per_second: ClassVar[float] = 100.0
    messages: ClassVar[int] = 10
    poison_every: ClassVar[int] = 0

    def on_start(self) -> None:
        super().on_start()
        self._numbers = itertools.count(1)
        self._due_us = now_us() + int(random.random() * 1e6 / self.per_second)

    def wait_time(self) -> float:
        self._due_us += int(1e6 / self.per_second)
        return max(0.0, (self._due_us - now_us()) / 1e6)

    @task
    def push(self) -> None:
        if self.world.closing:
            raise StopUser
        due_us = min(self._due_us, now_us())
        bodies = [self._body(due_us) for _ in range(self.messages)]
        names = [body.split(b" ", 1)[0].decode() for body in bodies]
        self.world.pushing(names)
        frame = block(bodies)
        while (answer := self.send(frame, bodies, due_us)) is None:
            gevent.sleep(0.1)
        self.world.confirmed(answer["first"], names, due_us)

    def send(self, frame: bytes, bodies: Sequence[bytes], due_us: int) -> Answer | None:
        return self.ask("push", frame, since_us=due_us, topic=f"load.{self.name}")

    def _body(self, due_us: int) -> bytes:
        number = next(self._numbers)
        poison = (
            self.poison_every and number % self.poison_every == 0 and due_us > self.world.half_us
        )
        kind = POISON + b"-" if poison else b""
        return b"%s%s-%d %d %s" % (kind, self.name.encode(), number, due_us, PADDING)


class Lone(Producer):
    """One message per request, in the map: the shortest push there is."""

    abstract = True
    messages = 1

    def send(self, frame: bytes, bodies: Sequence[bytes], due_us: int) -> Answer | None:
        return self.ask("push", since_us=due_us, topic="load.lone", data=bodies[0])


# ---- consumers --------------------------------------------------------------------------------


class Consumer(BrokerUser):
    """Polls with a session, works on each message, and lets the outcomes ride on the next poll."""

    abstract = True
    handling_s: ClassVar[float] = 0.0
    credit: ClassVar[int] = 64

    def on_start(self) -> None:
        super().on_start()
        self._begin()

    def on_stop(self) -> None:
        self.leave()
        super().on_stop()

    def _begin(self) -> None:
        """A new session."""
        self._session = os.urandom(16)
        self._n = 0
        self._done: list[tuple[Delivery, str]] = []

    @task
    def turn(self) -> None:
        self._n += 1
        settled = self._done
        answer = self.ask(
            "poll",
            group=GROUP,
            topics=["load.*"],
            name=self.name,
            session=self._session,
            n=self._n,
            got=self._n - 1,
            messages=self.credit,
            bytes=1 << 20,
            wait_ms=250,
            handlers=1,
            idle=1,
            settle=verdicts(settled),
        )
        if answer is None:
            raise StopUser
        self._done = []
        self._confirmed(answer, settled)
        self.work(deliveries(answer))

    def work(self, found: Sequence[Delivery]) -> None:
        worst_us = 0
        for got in found:
            wait = self.world.begun(got)
            if wait is not None:
                worst_us = max(worst_us, wait.wait_us)
            if self.handling_s:
                gevent.sleep(self.handling_s)
            self._done.append((got, FAIL if got.data.startswith(POISON) else ACK))
        if worst_us:
            self.tell("from send to handler, worst of a poll", worst_us, len(found))

    def _confirmed(self, answer: Answer, settled: Sequence[tuple[Delivery, str]]) -> None:
        """Only now have they ended: who dies before this takes his outcomes along."""
        lost = {
            (entry["lease"], at) for entry in answer["refused"] for at in positions(entry["ranges"])
        }
        self.world.trouble += [f"{at}: lease lost" for _, at in lost]
        for got, outcome in settled:
            if (got.lease, got.position) not in lost:
                self.world.ended(got, outcome)

    def leave(self) -> None:
        """Settle, then say goodbye."""
        if self._done:
            answer = self.ask("settle", group=GROUP, settle=verdicts(self._done))
            if answer is not None:
                self._confirmed(answer, self._done)
                self._done = []
        self.ask("goodbye", group=GROUP, session=self._session)


class Visitor(Consumer):
    """Comes, works for a while, leaves properly, comes again as somebody else."""

    abstract = True
    stay_s: ClassVar[float] = 1.0

    def on_start(self) -> None:
        super().on_start()
        self._arrive()

    def _arrive(self) -> None:
        self.name = f"{type(self).__name__.lower()}-{next(_numbers)}"
        self._until_us = now_us() + int(self.stay_s * 1e6)
        self._begin()

    @task
    def turn(self) -> None:
        if now_us() < self.world.half_us and not self.world.closing:
            gevent.sleep(0.05)
            self._until_us = now_us() + int(self.stay_s * 1e6)
        elif now_us() < self._until_us or self.world.closing:
            super().turn()
        else:
            self.depart()
            gevent.sleep(self.stay_s)
            self._arrive()

    def depart(self) -> None:
        self.leave()


class Mortal(Visitor):
    """Dies with messages in its hands instead of leaving: its connection just ends."""

    abstract = True
    stay_s = 3.0

    def work(self, found: Sequence[Delivery]) -> None:
        if found and now_us() >= self._until_us and not self.world.closing:
            self.world.begun(found[0])
            return
        super().work(found)

    def depart(self) -> None:
        """What he has not told he takes along."""
        self.world.killed(self.tape.client)
        self._begin()
        self.peer.close()
        self.peer = self.connected()


def verdicts(done: Sequence[tuple[Delivery, str]]) -> list[dict[str, Any]]:
    """Settle entries: one per lease for what is acked, one per message for what failed."""
    acked: dict[bytes, list[int]] = {}
    entries: list[dict[str, Any]] = []
    for got, outcome in done:
        if outcome == ACK:
            acked.setdefault(got.lease, []).append(got.position)
        else:
            entries.append(
                {
                    "lease": got.lease,
                    "ranges": [got.position, got.position],
                    "outcome": outcome,
                    "reason": "poison",
                }
            )
    entries += [
        {"lease": lease, "ranges": joined(sorted(places)), "outcome": ACK}
        for lease, places in acked.items()
    ]
    return entries


def joined(places: Sequence[int]) -> list[int]:
    """Ascending positions as ranges."""
    ranges: list[int] = []
    for place in places:
        if ranges and place == ranges[-1] + 1:
            ranges[-1] = place
        else:
            ranges += [place, place]
    return ranges
