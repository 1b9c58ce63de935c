"""What one turn appends: pushed blocks as they came, lone messages gathered into blocks.

Owns the coalescing. Must never know positions (the store gives them) or producers' rules (the
core has checked them). One turn's blocks are one group: the log writer commits a group whole, so
that a crash between two commits can never keep a producer's later push without its earlier one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

from laybyd.scheduler.bodies import buffer_of
from laybyd.store.base import NewBlock, ProducerRow
from laybyd.wire import block as blocks

if TYPE_CHECKING:
    from laybyd.core.events import Push
    from laybyd.core.types import Row


PUSH_BYTES = 512
"""What a push costs in memory besides its bytes, while it is pending."""


def held_bytes(push: Push) -> int:
    """What counts against `pending_bytes` from the push's coming to its end."""
    return push.size + PUSH_BYTES


class Placed(NamedTuple):
    """A block on its way to the log, and the pushes whose messages it carries, in order."""

    block: NewBlock
    body: object
    pushes: tuple[tuple[Push, int], ...]

    def stored(self, row: Row) -> list[tuple[Push, int]]:
        return [(push, row.first + offset) for push, offset in self.pushes]


class Group(NamedTuple):
    placed: tuple[Placed, ...]
    size: int
    held: int

    @property
    def pushes(self) -> tuple[Push, ...]:
        return tuple(push for placed in self.placed for push, _ in placed.pushes)


class Appends:
    """Collects a turn's pushes; `take` turns them into one group of blocks.

    `max_bytes` and `max_messages` bound a gathered block as they bound a pushed one.
    """

    def __init__(self, max_bytes: int, max_messages: int) -> None:
        self._max_bytes = max_bytes
        self._max_messages = max_messages
        self._pushes: list[Push] = []
        self.size = 0

    def __bool__(self) -> bool:
        return bool(self._pushes)

    def add(self, push: Push) -> None:
        self._pushes.append(push)
        self.size += push.size

    def take(self, now_us: int) -> Group:
        """Topics keep the order of their pushes: a block closes the run of lone ones before it."""
        placed: list[Placed] = []
        lone: dict[str, list[Push]] = {}
        for push in self._pushes:
            if push.packed:
                placed.extend(self._gather(lone.pop(push.topic, []), now_us))
                placed.append(_as_it_came(push))
            else:
                lone.setdefault(push.topic, []).append(push)
        for pushes in lone.values():
            placed.extend(self._gather(pushes, now_us))
        group = Group(tuple(placed), self.size, sum(map(held_bytes, self._pushes)))
        self._pushes, self.size = [], 0
        return group

    def _gather(self, pushes: list[Push], now_us: int) -> list[Placed]:
        placed: list[Placed] = []
        run: list[Push] = []
        size = 0
        for push in pushes:
            if run and (size + push.size > self._max_bytes or len(run) >= self._max_messages):
                placed.extend(_build(run, now_us))
                run, size = [], 0
            run.append(push)
            size += push.size
        if run:
            placed.extend(_build(run, now_us))
        return placed


def _build(pushes: list[Push], now_us: int) -> list[Placed]:
    """One block, or by halves more of them when the messages' times lie too far apart."""
    try:
        body = blocks.build([cast("blocks.Item", push.body) for push in pushes], now_us)
    except blocks.SpanError:
        middle = len(pushes) // 2
        return _build(pushes[:middle], now_us) + _build(pushes[middle:], now_us)
    rows = tuple(
        ProducerRow(push.producer, push.seq, offset, push.crc)
        for offset, push in enumerate(pushes)
        if push.producer is not None and push.seq is not None
    )
    block = NewBlock(pushes[0].topic, len(pushes), body, rows)
    return [Placed(block, body, tuple((push, offset) for offset, push in enumerate(pushes)))]


def _as_it_came(push: Push) -> Placed:
    rows: tuple[ProducerRow, ...] = ()
    if push.producer is not None and push.seq is not None:
        rows = (ProducerRow(push.producer, push.seq, 0, push.crc),)
    block = NewBlock(push.topic, push.messages, buffer_of(push.body), rows)
    return Placed(block, push.body, ((push, 0),))
