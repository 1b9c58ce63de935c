"""A running account of the topics in a stretch of the log.

Owns the sums. Must never know where the blocks are. A summary never names single blocks: that is
what keeps ten million of them cheap.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from laybyd.core.types import Row, TopicState

if TYPE_CHECKING:
    from collections.abc import Iterable


class TopicSums:
    """In order of first sight, so that a topic's place in it can serve as its number."""

    def __init__(self, states: Iterable[TopicState] = ()) -> None:
        self._sums: dict[str, list[int]] = {one.name: list(one[1:]) for one in states}
        self.names = list(self._sums)
        self.numbers = {name: number for number, name in enumerate(self.names)}

    def add(self, row: Row) -> None:
        sums = self._sums.get(row.topic)
        if sums is None:
            self.numbers[row.topic] = len(self.names)
            self.names.append(row.topic)
            self._sums[row.topic] = [row.first, row.last, row.messages, row.size, row.at_us]
            return
        sums[1] = row.first + row.messages - 1
        sums[2] += row.messages
        sums[3] += row.size
        sums[4] = row.at_us

    def states(self) -> list[TopicState]:
        return [TopicState(name, *sums) for name, sums in list(self._sums.items())]


def joined(stretches: Iterable[Iterable[TopicState]]) -> list[TopicState]:
    """One account of several stretches, given in the order of the log."""
    whole: dict[str, TopicState] = {}
    for stretch in stretches:
        for one in stretch:
            before = whole.get(one.name)
            whole[one.name] = one if before is None else _sum(before, one)
    return list(whole.values())


def _sum(before: TopicState, after: TopicState) -> TopicState:
    return TopicState(
        before.name,
        before.first,
        after.last,
        before.messages + after.messages,
        before.bytes + after.bytes,
        after.last_us,
    )


class TopicRows:
    """An account that can shrink at both ends, at the price of knowing every row."""

    def __init__(self) -> None:
        self._rows: dict[str, deque[Row]] = {}
        self._sums: dict[str, list[int]] = {}

    def add(self, row: Row) -> None:
        self._rows.setdefault(row.topic, deque()).append(row)
        self._count(row, 1)

    def drop(self, row: Row) -> None:
        """The oldest row of its topic goes."""
        self._rows[row.topic].popleft()
        self._count(row, -1)

    def undo(self, row: Row) -> None:
        """The newest row of its topic goes."""
        self._rows[row.topic].pop()
        self._count(row, -1)

    def _count(self, row: Row, sign: int) -> None:
        sums = self._sums.setdefault(row.topic, [0, 0])
        sums[0] += sign * row.messages
        sums[1] += sign * row.size
        if not self._rows[row.topic]:
            del self._rows[row.topic], self._sums[row.topic]

    def states(self) -> list[TopicState]:
        return [
            TopicState(
                name=name,
                first=rows[0].first,
                last=rows[-1].last,
                messages=self._sums[name][0],
                bytes=self._sums[name][1],
                last_us=rows[-1].at_us,
            )
            for name, rows in self._rows.items()
        ]
