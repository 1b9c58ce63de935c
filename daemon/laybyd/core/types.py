"""The words every floor shares: who asks, where a message stands, what a block row is.

Owns plain value types. Must never know bytes on a wire, a database, a clock or a thread.

Times are integers in microseconds (`_us`). `now` is *layby time*: the wall clock at the start of
the boot (never earlier than the last recorded time) plus monotonic time since; it never goes back.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

LIVE = "live"
DEFERRED = "deferred"
DEAD = "dead"

POSITION_END = 1 << 53
"""Every integer that leaves the broker is below this (exact in a double)."""


class Caller(NamedTuple):
    """Where an answer goes. Opaque to the core but for `peer`, which names the connection."""

    peer: bytes
    envelope: tuple[bytes, ...] = ()
    id: bytes | int | None = None


class Row(NamedTuple):
    """One stored block, as the index knows it; positions `first .. last`."""

    first: int
    messages: int
    topic: str
    size: int
    at_us: int

    @property
    def last(self) -> int:
        return self.first + self.messages - 1


class Piece(NamedTuple):
    """A run of one stored block to hand out: `first .. last`, both included.

    `block` is the first position of the stored block that holds it: of a block in the log
    (`lane` "live"), or of the parked record that carries its own bytes (`lane` "deferred"/"dead").
    """

    first: int
    last: int
    block: int
    lane: str = LIVE


class Outcome(StrEnum):
    ACK = "ack"
    FAIL = "fail"
    DEFER = "defer"
    RELEASE = "release"
    REJECT = "reject"


class Verdict(NamedTuple):
    """One entry of a settle: what became of some ranges of one lease."""

    lease: bytes
    ranges: tuple[tuple[int, int], ...]
    outcome: Outcome
    reason: str = ""
    delay_ms: int | None = None
    started: bool = True


class Progress(NamedTuple):
    """What a session says it works on: (from, to, age_ms), and limits moved: (position, ms)."""

    working: tuple[tuple[int, int, int], ...] = ()
    hold: tuple[tuple[int, int], ...] = ()


class Failure(NamedTuple):
    """One line of a message's history. `counted` tells whether it used up an attempt, and `lease`
    under which: the same failure told again is then known, though others had the message since."""

    at_us: int
    reason: str
    consumer: str
    counted: bool
    boot: int
    lease: bytes = b""


class Parked(NamedTuple):
    """A deferred or dead record: one message, or a range of suspects that is still being halved.

    `size` is the estimate that is accounted; `in_log` says the bytes stayed in the log (over a
    byte limit), so the record pins it. `gid` is the group's number, never reused.
    """

    gid: int
    first: int
    last: int
    topic: str
    attempts: int
    due_us: int
    delay_us: int
    size: int
    block: int
    at_us: int = 0
    in_log: bool = False
    alone: bool = False
    generation: int = 0
    releases: int = 0
    lease: bytes = b""
    history: tuple[Failure, ...] = ()
    failures: int = 0

    @property
    def messages(self) -> int:
        return self.last - self.first + 1


class GroupRecord(NamedTuple):
    """What makes a group: written once at its making, and again when an operator changes it."""

    gid: int
    name: str
    topics: tuple[str, ...]
    start: int
    made_us: int
    overrides: tuple[tuple[str, int | tuple[int, ...]], ...] = ()


class GroupState(NamedTuple):
    """What the store gives back of a group at start-up."""

    record: GroupRecord
    floor: int
    done: tuple[tuple[int, int], ...]
    pinned: tuple[tuple[int, int], ...]
    deferred: int
    deferred_bytes: int
    dead: int
    dead_bytes: int


class TopicState(NamedTuple):
    """What is kept of a topic: `first` is its lowest position still in the log."""

    name: str
    first: int
    last: int
    messages: int
    bytes: int
    last_us: int


class ProducerState(NamedTuple):
    """The last confirmed push of a producer; `recent` is (seq, position, crc), oldest first."""

    producer: bytes
    last_seq: int
    last_us: int
    recent: tuple[tuple[int, int, int], ...]
