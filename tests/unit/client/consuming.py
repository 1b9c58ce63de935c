"""A session in a World, with the handles a test needs: take a message, settle it, let time pass."""

from __future__ import annotations

from contextlib import nullcontext

from layby import _block
from layby._desk import Desk
from layby._queue import Hand
from layby._session import Session, Terms
from layby.batch import Batch
from layby.message import Message
from tests.unit.client.world import World


def block(*bodies: bytes) -> bytes:
    return _block.build(bodies)


def numbered(count: int) -> bytes:
    return block(*(b"%d" % number for number in range(count)))


class Consuming:
    """One handler that is idle from the start."""

    def __init__(self, on_error: str = "continue", world: World | None = None, **terms) -> None:
        self.world = world or World()
        self.broker = self.world.broker
        self.lost: list = []
        self.news = 0
        self.session = Session(
            self.world.link,
            Terms(group="g", topics=("app",), **terms),
            self._hear,
            self.lost.extend,
        )
        self.queue = self.session.queue
        self.desk = Desk(
            self.session, nullcontext(), lambda: self.world.now, lambda: None, on_error
        )
        self.hand = self.new_hand()
        self.session.waiting = 1

    def _hear(self) -> None:
        self.news += 1

    def new_hand(self) -> Hand:
        hand = Hand()
        self.queue.hands.append(hand)
        return hand

    def publish(self, *bodies: bytes) -> None:
        self.world.run()
        self.world.publish("app", block(*bodies))

    def take(self, hand: Hand | None = None) -> Message | None:
        """What a handler does when it asks for the next message and one is there."""
        hand = hand or self.hand
        self.queue.returned(hand, self.world.now)
        self.session.waiting = 0
        run = self.queue.take(hand, self.world.now)
        if run is None:
            self.session.waiting = 1
            self.world.run()
            run = self.queue.take(hand, self.world.now)
            if run is None:
                return None
            self.session.waiting = 0
        self.world.run()
        return Message(self.desk, run, run.first)

    def take_batch(self, messages: int = 500, size: int = 1 << 20) -> Batch:
        self.queue.returned(self.hand, self.world.now)
        self.session.waiting = 0
        return Batch(self.desk, self.queue.take_batch(self.hand, messages, size, self.world.now))

    def idle(self) -> None:
        self.queue.returned(self.hand, self.world.now)
        self.session.waiting = 1
        self.world.run()

    def fetch_ahead(self) -> None:
        """A poll while nobody is idle, as when a batch is being filled."""
        self.queue.returned(self.hand, self.world.now)
        self.session.waiting, self.session.filling = 0, 1
        self.world.run()

    def polls(self) -> list[dict]:
        return self.broker.ops("poll")

    def settles(self) -> list[dict]:
        return self.broker.ops("settle")


# ---- what tests of outcomes begin with


def taken(count: int, **options) -> tuple[Consuming, list]:
    it = Consuming(prefetch=1_000, **options)
    it.publish(*(b"%d" % n for n in range(count)))
    it.session.waiting = 0
    it.world.run()
    return it, [it.take() for _ in range(count)]


def sent(it: Consuming) -> list[tuple]:
    it.world.pass_time(0.01)
    return [(kind, ranges) for kind, ranges, _ in it.broker.settled]


def entries(it: Consuming, kind: str) -> list[dict]:
    it.world.pass_time(0.01)
    return [entry for outcome, _, entry in it.broker.settled if outcome == kind]


def batch_of(count: int, **options):
    it = Consuming(prefetch=1_000, **options)
    it.publish(*(b"%d" % n for n in range(count)))
    it.session.waiting = 0
    it.world.run()
    return it, it.take_batch()
