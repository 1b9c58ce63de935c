"""Clients that speak the bare protocol and live through whatever happens to their connection.

Owns the duties of level 1 and 2 towards a broker that may be gone: a time-out is unknown, what has
no answer is sent again under the same number, over a new connection. Must never judge.
"""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING, Any
from zlib import crc32

import zmq

from loadtests.wire import Peer, block, deliveries
from tests.audit.tape import Tape, TapedSocket, now_us

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadtests.wire import Answer, Delivery

PATIENCE_US = 700_000
WAIT_MS = 150
SLICE_MS = 20
WINDOW = 16
SLOW_MS = 700
HANDLING_US = 50
"""About what it takes to draw an outcome."""

"""Now and then a consumer works so long; its lease is longer."""

POISON_EVERY = 100
PADDING = b"." * 120


class Client(threading.Thread):
    """One client in a thread. Subclasses take one `turn` after the other."""

    def __init__(self, url: str, name: str, seed: int) -> None:
        super().__init__(name=name, daemon=True)
        self.tape = Tape(name)
        self.chance = random.Random(f"{seed} {name}")
        self.error: BaseException | None = None
        self.closing = False
        self._url = url
        self._over = threading.Event()
        self._context = zmq.Context()

    def run(self) -> None:
        try:
            self.connect()
            while not self._over.is_set():
                self.turn()
        except BaseException as error:
            self.error = error
        finally:
            self._context.destroy(linger=0)

    def turn(self) -> None:
        raise AssertionError("a client has turns")

    def connect(self) -> None:
        self.peer = Peer(self._context, self._url)
        self.peer.socket = TapedSocket(self.peer.socket, self.tape)

    def reconnect(self) -> None:
        self.peer.close()
        self.connect()

    def ask(self, op: str, **fields: Any) -> Answer | None:
        """The answer; None, over a new connection, when none came or it was refused for now."""
        ident = self.peer.send(op, **fields)
        end_us = now_us() + PATIENCE_US
        while now_us() < end_us and not self._over.is_set():
            answer = self.peer.receive(SLICE_MS)
            if answer is None or answer.map.get("id") != ident:
                continue
            if answer["ok"]:
                return answer
            if not answer["retryable"]:
                raise AssertionError(f"{op} was refused: {answer.map}")
            self.pause(max(1, answer["retry_ms"]))
            return None
        self.reconnect()
        return None

    def pause(self, ms: float) -> None:
        self._over.wait(ms / 1_000)

    def finish(self) -> None:
        self._over.set()
        self.join(20)
        if self.error is not None:
            raise self.error


class Lone(Client):
    """Level 1: one message at a time, without a number; what may have been stored is not sent
    again, for then it might be there twice."""

    topic = "app.lone"
    gap_ms = 20.0
    pushed = 0

    def turn(self) -> None:
        if self.closing:
            self.pause(SLICE_MS)
            return
        self.pushed += 1
        data = b"%s-%d %s" % (self.name.encode(), self.pushed, PADDING)
        self.ask("push", topic=self.topic, data=data)
        self.pause(self.chance.uniform(0, self.gap_ms))


class Trickle(Lone):
    """So little that there are always idle handlers."""

    topic = "slow.lone"
    gap_ms = 500.0


class Sequencer(Client):
    """Level 2: WINDOW pushes in flight, lone ones and blocks, sent again until confirmed."""

    def __init__(self, url: str, name: str, seed: int) -> None:
        super().__init__(url, name, seed)
        self.window: dict[int, list[bytes]] = {}
        self._id = self.chance.randbytes(16)
        self._next = 1
        self._messages = 0
        self._heard_us = 0

    def turn(self) -> None:
        while len(self.window) < WINDOW and not self.closing:
            self.window[self._next] = self._bodies()
            self._send(self._next)
            self._next += 1
        answer = self.peer.receive(SLICE_MS)
        if answer is not None:
            self._take(answer)
        elif self.window and now_us() - self._heard_us > PATIENCE_US:
            self.reconnect()
            self._send_again()
        self.pause(self.chance.uniform(0, 15))

    def _bodies(self) -> list[bytes]:
        messages = self.chance.choice((1, 1, 2, 9))
        self._messages += messages
        numbers = range(self._messages - messages, self._messages)
        return [b"%s-%d %s" % (self.name.encode(), number, PADDING) for number in numbers]

    def _send(self, seq: int) -> None:
        bodies = self.window[seq]
        to = {"topic": f"app.{seq % 3}", "producer": self._id, "seq": seq}
        if len(bodies) == 1:
            self.peer.send("push", data=bodies[0], **to)
        else:
            self.peer.send("push", block(bodies), **to)

    def _send_again(self) -> None:
        self._heard_us = now_us()
        for seq in sorted(self.window):
            self._send(seq)

    def _take(self, answer: Answer) -> None:
        if answer["ok"]:
            self._heard_us = now_us()
            for seq in range(answer["from"], answer["upto"] + 1):
                self.window.pop(seq, None)
        elif not answer["retryable"]:
            raise AssertionError(f"a push was refused: {answer.map}")
        elif answer["seq"] == answer.map.get("expected", answer["seq"]):
            self.pause(answer["retry_ms"])
            self._send_again()


class Handler:
    """What becomes of a message in a consumer's hands, by chance; some always fail."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def outcome(self, data: bytes) -> tuple[str, int]:
        """And the delay, for a `defer`."""
        if crc32(data) % POISON_EVERY == 0:
            return "fail", 0
        drawn = self._chance.random()
        if drawn < 0.02:
            return "fail", 0
        if drawn < 0.03:
            return "defer", self._chance.randrange(1, 300)
        if drawn < 0.04:
            return "release", 0
        return ("reject", 0) if drawn < 0.043 else ("ack", 0)


class Consumer(Client):
    """Polls with a session; outcomes ride on the next poll or go by themselves, and are sent until
    they are answered. Now and then it forgets what it holds and comes back as somebody else."""

    group = "bare"
    topics = ("app.*",)
    slow = 0.02

    def __init__(self, url: str, name: str, seed: int) -> None:
        super().__init__(url, name, seed)
        self._handler = Handler(self.chance)
        self._begin()

    def _begin(self) -> None:
        self._session = self.chance.randbytes(16)
        self._n = self._got = 0
        self._outcomes: list[dict[str, Any]] = []

    def turn(self) -> None:
        if self._outcomes and self.chance.random() < 0.5:
            if self.ask("settle", group=self.group, settle=self._outcomes) is not None:
                self._outcomes = []
            return
        if self._got == self._n or self.chance.random() < 0.3:
            self._n += 1
        answer = self.ask(
            "poll",
            group=self.group,
            topics=list(self.topics),
            session=self._session,
            n=self._n,
            got=self._got,
            messages=self.chance.choice((1, 20, 100)),
            bytes=1 << 20,
            wait_ms=WAIT_MS,
            handlers=1,
            idle=1,
            settle=self._outcomes,
            live_us=HANDLING_US,
            deferred_us=HANDLING_US,
        )
        if answer is not None and answer["n"] == self._n:
            self._got, self._outcomes = self._n, []
            self._handle(deliveries(answer))

    def _handle(self, found: Sequence[Delivery]) -> None:
        if found and not self.closing and self.chance.random() < 0.02:
            self._begin()
            return
        if found and not self.closing and self.chance.random() < self.slow:
            self.pause(SLOW_MS)
        for got in found:
            outcome, delay_ms = self._handler.outcome(got.data)
            entry = {"lease": got.lease, "ranges": [got.position] * 2, "outcome": outcome}
            self._outcomes.append(entry | ({"delay_ms": delay_ms} if delay_ms else {}))


class SlowConsumer(Consumer):
    """Others are idle meanwhile: a lease that ends too early shows."""

    group = "slow"
    topics = ("slow.*",)
    slow = 0.5
