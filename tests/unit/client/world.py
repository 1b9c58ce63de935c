"""A link, a fake broker and a clock that moves when told: everything sans-io, no sockets."""

from __future__ import annotations

from collections import deque

from layby._link import Link
from tests.unit.client.fake_broker import FakeBroker


class World:
    """`cut`: requests do not arrive. `deaf`: they do, and their answers do not."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.broker = FakeBroker()
        self.link = Link()
        self.link.connected(self.now)
        self.wire: deque[list[bytes]] = deque()
        self.cut = False
        self.deaf = False

    def run(self) -> None:
        """Until nothing moves any more."""
        for _ in range(1_000):
            self.link.advance(self.now)
            if not self.link.outbox and not self.wire:
                break
            while self.link.outbox:
                frames = self.link.outbox.popleft()
                answers = [] if self.cut else self.broker.handle(frames)
                self.wire.extend([] if self.deaf else answers)
            self.hear()
        else:
            raise AssertionError("the link and the broker do not come to rest")
        self.link.run_after()

    def hear(self) -> None:
        while self.wire:
            self.link.receive(self.wire.popleft(), self.now)

    def pass_time(self, seconds: float) -> None:
        """To that moment, stopping at every deadline on the way."""
        until = self.now + seconds
        self.run()
        while (due := self.link.advance(self.now)) <= until:
            self.now = max(due, self.now + 1e-6)
            self.run()
        self.now = until
        self.run()

    def publish(self, topic: str, *blocks: bytes) -> None:
        self.wire.extend(self.broker.publish(topic, *blocks))
        self.run()

    def reconnect(self) -> None:
        self.wire.clear()
        self.link.disconnected()
        self.link.connected(self.now)
        self.run()
