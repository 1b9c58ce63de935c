"""What the broker needs of a store, in words no engine owns.

Owns the interface that every store passes one contract suite for: an ordered, durable log of
blocks, and a small ordered map of delivery state. Must never know blocks' insides, delivery rules
or the wire. The log and the state commit apart: log first, then state; state refers only to
positions that are already durable.

`append` and `trim` are called by one thread, `commit_state` and `read_state` by another, `read`,
`rows` and `find_time` by any.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from laybyd.core.types import ProducerState, Row, TopicState


class StoreError(Exception):
    """Anything a store says no to. The docstring of each kind is its meaning."""


class Fenced(StoreError):
    """Another owner has acquired the store; this one must stop at once."""


class Full(StoreError):
    """No room for this; what was stored stays readable, and smaller or freeing steps still work."""


class Unavailable(StoreError):
    """The store cannot be used now (in use by another process, no right to it, no such place)."""


class InUse(Unavailable):
    """Another process, or another store object of this one, owns it."""


class Postponed(Unavailable):
    """Not now: somebody copies the log. Nothing was done; try again in a moment."""


class NoRight(Unavailable):
    """The operating system does not let us read or write it."""


class Damaged(StoreError):
    """What is stored is not what was written; nothing is skipped or guessed."""


class Unknown(StoreError):
    """The outcome of a step is not known: stop, and let recovery decide."""


class Fence(NamedTuple):
    """Proof of ownership, and which log and boot this is."""

    store_id: bytes
    epoch: int
    boot: int


class ProducerRow(NamedTuple):
    """One producer's push: kept with the block, in the block's own commit. `offset` is its first
    message's place in the block."""

    producer: bytes
    seq: int
    offset: int
    crc: int


class NewBlock(NamedTuple):
    """A block to append. `body` is bytes-like and opaque."""

    topic: str
    messages: int
    body: bytes | memoryview
    producers: tuple[ProducerRow, ...] = ()


class Appended(NamedTuple):
    """Rows of the blocks just stored, in the order given; positions are dense over all topics."""

    rows: tuple[Row, ...]


class Erase(NamedTuple):
    """Among the puts of a commit: delete every key with first <= key < end."""

    first: bytes
    end: bytes


Put = tuple[bytes, bytes | None] | Erase
"""A key and its new value (None deletes it), or a range of keys to delete."""


class Room(NamedTuple):
    """Bytes in use and allowed, and whether the high-water marks are passed: `state_full`, where
    messages' bytes should stay in the log, and `state_spent`, where nothing is to be handed out.
    `disk_full`: it is the disk that has no room for the log, though the limit would leave some."""

    used: int
    limit: int
    log_full: bool
    state_full: bool
    state_spent: bool = False
    disk_full: bool = False


class StoreFacts(NamedTuple):
    """For one line at start and for `status`."""

    segments: int
    spare_segments: int
    start: int
    end: int
    used: int
    limit: int
    last_us: int
    recovery_ms: int
    kind: str


class Store(Protocol):
    def acquire(self) -> Fence:
        """Take ownership, recover, count one boot. Raises Unavailable or Damaged."""

    def close(self) -> None: ...

    # ---- the log
    def append(self, fence: Fence, blocks: Sequence[NewBlock], now_us: int) -> Appended:
        """Durable when it returns; all blocks or none. `at_us` of the rows never goes backward.
        Raises Full (nothing taken, carry on), Fenced, Unknown."""

    def read(self, position: int) -> tuple[Row, bytes]:
        """The stored block that holds the position. Raises Damaged, or KeyError below the start
        or at the end of the log."""

    def rows(self, first: int, limit: int) -> tuple[list[Row], int]:
        """Up to about `limit` rows of blocks that end at or after `first`, in order, and the
        position up to which nothing was left out."""

    def find_time(self, at_us: int) -> int:
        """The first position appended at or after the time (the log's end if there is none)."""

    def topics(self) -> list[TopicState]: ...

    def producers(self) -> list[ProducerState]:
        """What the log remembers of producers, least recently seen first."""

    def trim(self, fence: Fence, below: int) -> int:
        """Free what lies wholly below; only ever called with a position below every stored floor.
        Returns the log's new start. Raises Full, Fenced, Unknown, Postponed."""

    def room(self) -> Room: ...

    def facts(self) -> StoreFacts: ...

    # ---- the state
    def commit_state(self, fence: Fence, puts: Sequence[Put]) -> None:
        """Apply in order, atomically and durably. Keys begin with a letter (a byte of 1 to 254).
        Raises Full, Fenced, Unknown."""

    def read_state(self, first: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Up to `limit` pairs with first <= key < end, in key order."""

    # ---- upkeep

    def housekeep(self) -> None:
        """Small repairs that need no owner's decision; to be called about once a minute."""
