"""Producers as the protocol wants them: one at a time, or many in flight under sequence numbers.

Owns what was pushed and is not confirmed. Each value is pushed under one number only; a time-out
means unknown, never failed.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple
from zlib import crc32

from laybyd.core.effects import Confirm, Refuse
from laybyd.core.events import Push
from tests.simulation import bodies
from tests.simulation.client import NOBODY, Client
from tests.simulation.network import Answer, Network
from tests.simulation.world import MS, SECOND, World

PATIENCE_US = 5 * SECOND
RESEND_US = 3 * SECOND


class Habits(NamedTuple):
    """Of one producer. `gap_us` is the mean time between pushes; `moves`: how often it goes on over
    a new connection while pushes are under way on the old one."""

    topics: tuple[str, ...]
    block: int
    gap_us: int
    window: int
    moves: float = 0.0


class Values:
    """Numbers for everybody, each used once."""

    def __init__(self) -> None:
        self._next = itertools.count(1)

    def take(self, messages: int) -> list[int]:
        return list(itertools.islice(self._next, messages))


class Producer(Client):
    """Level 1: pushes lone messages without a number, waits for each answer."""

    def __init__(
        self, world: World, network: Network, name: str, habits: Habits, values: Values
    ) -> None:
        super().__init__(world, network, name)
        self.habits = habits
        self.values = values
        self.stopped = False
        self.later(world.pause(habits.gap_us), self.work)

    @property
    def busy(self) -> bool:
        return bool(self._asked)

    def work(self) -> None:
        if not self.stopped:
            topic = self.world.random.choice(self.habits.topics)
            self._push(lone(topic, self.values.take(1)))

    def _push(self, push: Push) -> None:
        self.ask(push, PATIENCE_US, lambda answer: self._answered(push, answer), self._next)

    def _answered(self, push: Push, answer: Answer) -> None:
        effect = answer.effect
        if isinstance(effect, Refuse) and effect.retry_ms and not self.stopped:
            self.later(effect.retry_ms * MS, self._push, push)
        else:
            self._next()

    def _next(self) -> None:
        self.later(self.world.pause(self.habits.gap_us), self.work)


class Sequencer(Producer):
    """Level 2: pushes go out under (producer, seq) and again until they are confirmed."""

    def __init__(
        self, world: World, network: Network, name: str, habits: Habits, values: Values
    ) -> None:
        self._renamed = 0
        self._boot = 0
        self._begin()
        super().__init__(world, network, name, habits, values)
        self.later(RESEND_US, self._watch)

    def _begin(self) -> None:
        """A new producer id; what is unconfirmed under the old one stays unknown for ever."""
        self._renamed += 1
        self._unconfirmed: dict[int, Push] = {}
        self._seq = 0
        self._resending = False
        self._heard = 0

    @property
    def producer(self) -> bytes:
        return b"%s/%d" % (self.name.encode(), self._renamed)

    @property
    def busy(self) -> bool:
        return bool(self._unconfirmed)

    def work(self) -> None:
        if self.stopped:
            return
        if len(self._unconfirmed) < self.habits.window:
            self._seq += 1
            push = self._make()._replace(producer=self.producer, seq=self._seq)
            self._unconfirmed[self._seq] = push
            if self.habits.moves and self.world.chance(self.habits.moves):
                self.reconnect()
            self.tell(push)
        self.later(self.world.pause(self.habits.gap_us), self.work)

    def _make(self) -> Push:
        topic = self.world.random.choice(self.habits.topics)
        if self.world.chance(0.3):
            return lone(topic, self.values.take(1))
        return block(topic, self.values.take(self.world.between(1, self.habits.block)))

    def unasked(self, answer: Answer) -> None:
        effect = answer.effect
        self._notice(answer.boot)
        if isinstance(effect, Confirm):
            self._confirmed(effect)
        elif isinstance(effect, Refuse) and effect.fields.get("producer") == self.producer:
            self._refused(effect)

    def _confirmed(self, confirm: Confirm) -> None:
        if confirm.producer == self.producer:
            self._heard = self.world.now
            for seq in range(confirm.first_seq, confirm.last_seq + 1):
                self._unconfirmed.pop(seq, None)

    def _refused(self, refuse: Refuse) -> None:
        assert refuse.code != "conflict", f"{self.name}: a number is never used for other bytes"
        expected = refuse.fields["expected"]
        assert isinstance(expected, int)
        if self._unconfirmed and expected < min(self._unconfirmed):
            self._begin()
        elif not self._resending:
            self._resending = True
            self.later(refuse.retry_ms * MS + MS, self._resend)

    def _notice(self, boot: int) -> None:
        if boot > self._boot:
            self._boot = boot
            self._resend()

    def _resend(self) -> None:
        self._resending = False
        self._heard = self.world.now
        for push in list(self._unconfirmed.values()):
            self.tell(push)

    def _watch(self) -> None:
        """Nothing heard for a while: send all of it again, sometimes over a new connection."""
        if self._unconfirmed and self.world.now - self._heard > RESEND_US:
            if self.world.chance(0.3):
                self.reconnect()
            self._resend()
        self.later(RESEND_US, self._watch)

    def live_again(self) -> None:
        super().live_again()
        self._resending = False
        self.later(0, self._watch)
        self.later(0, self.work)


def lone(topic: str, values: list[int]) -> Push:
    return _push(topic, values, packed=False)


def block(topic: str, values: list[int]) -> Push:
    return _push(topic, values, packed=True)


def _push(topic: str, values: list[int], packed: bool) -> Push:
    body = bodies.write(values)
    return Push(NOBODY, topic, body, len(values), len(body), crc32(body), packed)
