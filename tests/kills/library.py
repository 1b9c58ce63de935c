"""The Python library's clients, each in a thread, with a tape below their sockets.

Owns what an application does with the library while its broker dies. Must never judge, nor help:
all sending again is the library's own.
"""

from __future__ import annotations

import random
import threading

import layby
from tests.audit.library_tape import tape_client
from tests.audit.tape import Tape
from tests.kills.bare import PADDING, Handler

PUSH_S = 0.8
PAUSE_S = 0.02
SLOW_S = 1.4
"""Now and then a handler takes longer than its lease, which the library keeps alive."""


class LibraryClient(threading.Thread):
    """`act` is what the application does until it is told to end."""

    closing = False

    def __init__(self, url: str, name: str, seed: int) -> None:
        super().__init__(name=name, daemon=True)
        self.tape = Tape(name)
        self.chance = random.Random(f"{seed} {name}")
        self.error: BaseException | None = None
        self.over = threading.Event()
        self.client = layby.connect(url, name=name, timeout=20.0)
        tape_client(self.client, self.tape)

    def run(self) -> None:
        try:
            self.act()
        except BaseException as error:
            self.error = error

    def act(self) -> None:
        raise AssertionError("an application acts")

    def finish(self) -> None:
        self.over.set()
        self.client.stop()
        self.join(30)
        self.client.close()
        if self.error is not None:
            raise self.error


class Pusher(LibraryClient):
    """Pushes one by one, and in blocks; a push of unknown outcome is pushed again as the library
    offers it, until it is confirmed."""

    pushed = 0

    def act(self) -> None:
        with self.client.producer("app.many", timeout=60.0) as producer:
            while not self.over.is_set() and not self.closing:
                if self.chance.random() < 0.5:
                    self._push()
                else:
                    producer.send_many([self._body() for _ in range(self.chance.randrange(1, 20))])
                self.over.wait(self.chance.uniform(0, PAUSE_S))

    def _body(self) -> bytes:
        self.pushed += 1
        return b"%s-%d %s" % (self.name.encode(), self.pushed, PADDING)

    def _push(self) -> None:
        """What never left is not there; of what did, the library finds out."""
        unknown: layby.OutcomeUnknown | None = None
        body = self._body()
        while not self.over.is_set():
            try:
                if unknown is None:
                    self.client.push("app.one", body, timeout=PUSH_S)
                else:
                    self.client.push_again(unknown, timeout=PUSH_S)
                return
            except layby.OutcomeUnknown as error:
                unknown = error
            except layby.Unreachable:
                continue


class Worker(LibraryClient):
    """Consumes as a member of a group; what becomes of each message is up to chance."""

    group = "library"
    topic = "app.*"
    slow = 0.001

    def act(self) -> None:
        handler = Handler(self.chance)
        with self.client.consume(self.topic, group=self.group) as consumer:
            for message in consumer:
                if not self.closing and self.chance.random() < self.slow:
                    self.over.wait(SLOW_S)
                outcome, delay_ms = handler.outcome(message.data)
                if outcome == "ack":
                    message.ack()
                elif outcome == "fail":
                    message.fail("by chance")
                elif outcome == "defer":
                    message.defer(delay_ms / 1_000)
                elif outcome == "release":
                    message.release()
                else:
                    message.reject("by chance")


class SlowWorker(Worker):
    """Its reports keep its leases, whoever is idle meanwhile."""

    group = "slow"
    topic = "slow.*"
    slow = 0.3
