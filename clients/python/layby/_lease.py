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

    def __init__(self, topic: str, ranges: Sequence[int], at_us: int, block: Buffer) -> None:
        if type(topic) is not str:
            raise TypeError("a topic is not text")
        self.topic = topic
        self.at_us = at_us
        self.block = Block(block)
        self.messages = self.block.messages
        self._firsts = ranges[::2]
        self._cuts = list(
            accumulate(
                (last - first + 1 for first, last in zip(self._firsts, ranges[1::2], strict=True)),
                initial=0,
            )
        )
        if self._cuts[-1] != self.messages:
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

    def index(self, position: int) -> int | None:
        for which, first in enumerate(self._firsts):
            index = self._cuts[which] + position - first
            if self._cuts[which] <= index < self._cuts[which + 1]:
                return index
        return None

    def time_us(self, index: int) -> int:
        return self.block.time_us(index) or self.at_us


class Lease(Piece):
    """Messages of one topic that are ours until a deadline. `next` is the first not started."""

    __slots__ = (
        "_attempts", "_deliveries", "_history", "alone", "boot", "grant", "id", "lane",
        "lease_s", "left", "next", "state", "until",
    )  # fmt: skip

    def __init__(self, fields: Mapping[str, Any], block: Buffer, boot: int, now: float) -> None:
        super().__init__(fields["topic"], fields["ranges"], int(fields.get("at_us", 0)), block)
        self.id: bytes = fields["lease"]
        self.lane: str = fields["lane"]
        self.grant: int = fields.get("grant", 0)
        self.alone: bool = fields.get("alone", False)
        self.boot = boot
        self.lease_s = fields["lease_ms"] / 1e3
        self.until = now + self.lease_s
        self.next = 0
        self.left = self.messages
        self.state = bytearray(self.messages)
        self._attempts: Sequence[int] = fields.get("attempts") or ()
        self._deliveries: Sequence[int] = fields.get("deliveries") or ()
        self._history: Sequence[Sequence[Mapping[str, Any]]] = fields.get("history") or ()

    def attempts(self, index: int) -> int:
        return self._attempts[index] if self._attempts else 0

    def deliveries(self, index: int) -> int:
        return self._deliveries[index] if self._deliveries else 1

    def history(self, index: int) -> list[Failure]:
        if not self._history:
            return []
        return [
            Failure(line["at_us"] / 1e6, line["reason"], line["consumer"], line["counted"])
            for line in self._history[index]
        ]

    @property
    def apart(self) -> bool:
        """A suspect, or messages that failed or were late before."""
        return self.alone or self.lane != LIVE

    @property
    def waiting(self) -> int:
        """Not started yet."""
        return self.messages - self.next


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
