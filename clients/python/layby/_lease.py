"""What was handed to this consumer: leases, and the runs of them that handlers work on.

Owns which message of a lease has which outcome, and which position it has. Must never know polls,
threads or sockets.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from layby._block import Block, Buffer
from layby._fields import maps, number, numbers, ranges, text, token
from layby.errors import Damaged

OPEN, ACK, FAIL, DEFER, RELEASE, REJECT, UNSTARTED = range(7)
LIVE = "live"
OUTCOMES = ("", "ack", "fail", "defer", "release", "reject", "release")


class Failure(NamedTuple):
    """One line of a message's history."""

    at: float
    reason: str
    consumer: str
    counted: bool


class Piece:
    """A block and where its messages stand in the broker's log."""

    __slots__ = ("_cuts", "_firsts", "at_us", "block", "messages", "topic")

    def __init__(self, topic: str, spans: Sequence[int], at_us: int, block: Buffer) -> None:
        self.topic = topic
        self.at_us = at_us
        self.block = Block(block)
        self.messages = self.block.messages
        self._firsts = spans[::2]
        lengths = [last - first + 1 for first, last in zip(self._firsts, spans[1::2], strict=True)]
        self._cuts = list(accumulate(lengths, initial=0))
        if self._cuts[-1] != self.messages or min(lengths) < 1:
            raise Damaged("the ranges of an answer do not fit its block")

    def position(self, index: int) -> int:
        if len(self._firsts) == 1:
            return self._firsts[0] + index
        which = bisect_right(self._cuts, index) - 1
        return self._firsts[which] + index - self._cuts[which]

    def split(self, first: int, after: int) -> list[tuple[int, int]]:
        """The messages first..after-1, cut where their positions are not neighbours."""
        if len(self._firsts) == 1:
            return [(first, after)]
        found = []
        while first < after:
            stop = min(after, self.neighbours_end(first))
            found.append((first, stop))
            first = stop
        return found

    def neighbours_end(self, index: int) -> int:
        """Where the run of neighbouring positions ends that the message is in."""
        return self._cuts[bisect_right(self._cuts, index)]

    def positions(self, first: int, after: int) -> list[tuple[int, int]]:
        """The messages first..after-1 as position ranges."""
        return [
            (self.position(low), self.position(low) + high - low - 1)
            for low, high in self.split(first, after)
        ]

    def indexes(self, low: int, high: int) -> Iterator[int]:
        """The messages that stand at these positions, however many more were named."""
        for which, first in enumerate(self._firsts):
            cut, after = self._cuts[which], self._cuts[which + 1]
            begin, end = max(low - first, 0), min(high - first + 1, after - cut)
            yield from range(cut + begin, cut + end)

    def time_us(self, index: int) -> int:
        return self.block.time_us(index) or self.at_us


class Lease(Piece):
    """Messages of one topic that are ours until a deadline. `next` is the first not started."""

    __slots__ = (
        "_attempts", "_deliveries", "_history", "alone", "boot", "grant", "id", "lane",
        "lease_s", "left", "next", "state", "until",
    )  # fmt: skip

    def __init__(self, fields: Mapping[str, Any], block: Buffer, boot: int, now: float) -> None:
        super().__init__(text(fields, "topic"), ranges(fields), number(fields, "at_us", 0), block)
        self.id = token(fields, "lease")
        self.lane = text(fields, "lane")
        self.grant = number(fields, "grant", 0)
        self.alone = fields.get("alone") is True
        self.boot = boot
        self.lease_s = number(fields, "lease_ms", low=1) / 1e3
        self.until = now + self.lease_s
        self.next = 0
        self.left = self.messages
        self.state = bytearray(self.messages)
        self._attempts = self._each(fields, "attempts")
        self._deliveries = self._each(fields, "deliveries")
        self._history = fields.get("history") or ()

    def _each(self, fields: Mapping[str, Any], key: str) -> Sequence[int]:
        """One number per message, or none at all."""
        return numbers(fields, key, self.messages) if fields.get(key) else ()

    def attempts(self, index: int) -> int:
        return self._attempts[index] if self._attempts else 0

    def deliveries(self, index: int) -> int:
        return self._deliveries[index] if self._deliveries else 1

    def history(self, index: int) -> list[Failure]:
        if not self._history:
            return []
        if type(self._history) is not list or len(self._history) != self.messages:
            raise Damaged("the history in an answer does not fit its messages")
        return [_failure(line) for line in maps(self._history[index], "history")]

    @property
    def apart(self) -> bool:
        """A suspect, or messages that failed or were late before."""
        return self.alone or self.lane != LIVE

    @property
    def waiting(self) -> int:
        """Not started yet."""
        return self.messages - self.next


def _failure(line: Mapping[str, Any]) -> Failure:
    at = number(line, "at_us") / 1e6
    return Failure(at, text(line, "reason"), text(line, "consumer"), line.get("counted") is True)


class Run:
    """Neighbouring messages of a lease, handed to a handler together."""

    __slots__ = ("after", "first", "lease", "left", "since")

    def __init__(self, lease: Lease, first: int, after: int, now: float) -> None:
        self.lease = lease
        self.first = first
        self.after = after
        self.since = now
        self.left = after - first

    def open_pieces(self) -> Iterator[tuple[int, int]]:
        """What has no outcome, as index ranges."""
        if self.left == self.after - self.first:
            yield self.first, self.after
            return
        state, index, after = self.lease.state, self.first, self.after
        while index < after:
            begin = state.find(OPEN, index, after)
            if begin < 0:
                return
            index = begin
            while index < after and not state[index]:
                index += 1
            yield begin, index
