"""A producer and consumers that live through kills of the daemon, with a tape below their sockets.

Owns the two ends of a message, speaking the bare protocol so that the window is known exactly.
Must never judge; the auditor does. Each runs in a thread of its own and is told of a restart by
`reconnect`: it then opens a new connection and sends again what has no answer.
"""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

import zmq

from tests.audit.tape import Tape, TapedSocket
from tests.integration.daemon_process import Peer, acks, deliveries, positions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadtests.wire import Answer, Delivery

WINDOW = 64
SLICE_MS = 20
PADDING = b"." * 180


def name_of(data: bytes) -> str:
    return data.split(b" ", 1)[0].decode()


class Pushed(NamedTuple):
    """A confirmed push: `what` tells the message apart from every other."""

    position: int
    what: str


class End(threading.Thread, ABC):
    """One connection in one thread. Subclasses take a `turn` after the other."""

    def __init__(self, url: str, name: str, changed: threading.Condition) -> None:
        super().__init__(name=name, daemon=True)
        self.changed = changed
        self.tape = Tape(name)
        self._url = url
        self._cut = threading.Event()
        self._over = threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        context = zmq.Context()
        try:
            self._connect(context)
            while not self._over.is_set():
                if self._cut.is_set():
                    self._cut.clear()
                    self.peer.close()
                    self._connect(context)
                    self.again()
                self.turn()
        except BaseException as error:
            self.error = error
        finally:
            context.destroy(linger=0)

    def _connect(self, context: zmq.Context[Any]) -> None:
        self.peer = Peer(context, self._url)
        self.peer.socket = TapedSocket(self.peer.socket, self.tape)

    @abstractmethod
    def turn(self) -> None:
        """One step that ends within a moment."""

    def again(self) -> None:
        """The connection is new: what had no answer is sent again."""

    def reconnect(self) -> None:
        self._cut.set()

    def finish(self) -> None:
        self._over.set()
        self.join(20)
        if self.error is not None:
            raise self.error


class Producer(End):
    """Keeps WINDOW pushes with a sequence in flight; holds `changed` while it takes note of a
    confirm, so whoever holds it sees exactly what is unconfirmed."""

    def __init__(self, url: str, name: str, changed: threading.Condition) -> None:
        super().__init__(url, name, changed)
        self.confirmed: list[Pushed] = []
        self.window: dict[int, bytes] = {}
        self.closing = False
        self._id = os.urandom(16)
        self._next = 1

    def in_flight(self) -> list[str]:
        return [name_of(data) for data in self.window.values()]

    def turn(self) -> None:
        with self.changed:
            while len(self.window) < WINDOW and not self.closing:
                self.window[self._next] = b"%s-%d %s" % (
                    self.name.encode(),
                    self._next,
                    PADDING,
                )
                self._send(self._next)
                self._next += 1
            self.changed.notify_all()
        answer = self.peer.receive(SLICE_MS)
        if answer is not None:
            with self.changed:
                self._take(answer)
                self.changed.notify_all()

    def again(self) -> None:
        with self.changed:
            for seq in sorted(self.window):
                self._send(seq)

    def _send(self, seq: int) -> None:
        topic = f"app.{seq % 3}"
        self.peer.send("push", topic=topic, data=self.window[seq], producer=self._id, seq=seq)

    def _take(self, answer: Answer) -> None:
        if not answer["ok"]:
            if not answer["retryable"]:
                raise AssertionError(f"a push was refused: {answer.map}")
            if answer["seq"] == answer["expected"]:
                self.again()
            return
        for seq, position in zip(
            range(answer["from"], answer["upto"] + 1), answer["first"], strict=True
        ):
            data = self.window.pop(seq, None)
            if data is not None:
                self.confirmed.append(Pushed(position, name_of(data)))


class Consumer(End):
    """Polls, acks all it got in a settle, and notes which positions' acks were confirmed."""

    def __init__(self, url: str, name: str, changed: threading.Condition) -> None:
        super().__init__(url, name, changed)
        self.settled: set[int] = set()
        self.boot = 0
        self._session = os.urandom(16)
        self._n = self._got = 0
        self._unconfirmed: list[dict[str, Any]] = []
        self._held: list[Delivery] = []

    def turn(self) -> None:
        if self._unconfirmed:
            self._settle()
            return
        self._n += 1 if self._got == self._n else 0
        answer = self._ask(
            "poll",
            group="g",
            topics=["app.*"],
            session=self._session,
            n=self._n,
            got=self._got,
            messages=500,
            bytes=1 << 20,
            wait_ms=200,
            handlers=1,
            idle=1,
        )
        if answer is not None and answer["n"] == self._n:
            self._got = self._n
            self._handle(deliveries(answer))

    def _handle(self, found: Sequence[Delivery]) -> None:
        self._held = list(found)
        self._unconfirmed = acks(found)

    def _settle(self) -> None:
        answer = self._ask("settle", group="g", settle=self._unconfirmed)
        if answer is None:
            return
        lost = {at for entry in answer["refused"] for at in positions(entry["ranges"])}
        kept = [got for got in self._held if got.position not in lost]
        self._unconfirmed, self._held = [], []
        with self.changed:
            self.boot = max([self.boot, *(got.boot for got in kept)])
            self.settled.update(got.position for got in kept)
            self.changed.notify_all()

    def _ask(self, op: str, **fields: object) -> Answer | None:
        """The answer, or None when the connection was cut meanwhile."""
        ident = self.peer.send(op, **fields)
        while not (self._cut.is_set() or self._over.is_set()):
            answer = self.peer.receive(SLICE_MS)
            if answer is not None and answer.map.get("id") == ident:
                if not answer["ok"]:
                    raise AssertionError(f"{op} was refused: {answer.map}")
                return answer
        return None
