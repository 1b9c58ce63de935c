"""Everything the broker can ask to be done, as values.

Owns the output alphabet of `Broker.step`. Must never know how an effect is carried out.
Order matters: effects for the state store are carried out in the order they are emitted, reads
among the commits, so that a read sees every commit emitted before it and none emitted after.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from laybyd.core.events import Push
from laybyd.core.types import Caller, GroupRecord, Parked, Piece

# ---- for the log ------------------------------------------------------------------------------


class Append(NamedTuple):
    """Make this push durable; answered by Stored + NewRows, or NotStored."""

    push: Push


class ResumeAppends(NamedTuple):
    """The core has taken note of a NotStored. Until the log writer meets this in its queue it
    refuses everything behind a failed append, so that no producer's sequence gets a hole."""


class LoadRows(NamedTuple):
    who: object
    first: int
    limit: int


class FindTime(NamedTuple):
    who: object
    at_us: int


class Trim(NamedTuple):
    """Nothing below this position is needed any more (floors past it are committed)."""

    below: int


# ---- for the state store ------------------------------------------------------------------------


class SaveGroup(NamedTuple):
    record: GroupRecord


class DropGroup(NamedTuple):
    """Delete everything of the group."""

    gid: int


class Delta(NamedTuple):
    """Ranges that are newly done (settled or moved), as the next delta record of the group."""

    gid: int
    number: int
    ranges: tuple[tuple[int, int], ...]


class Snapshot(NamedTuple):
    """Replaces the group's snapshot and all its deltas up to `number`."""

    gid: int
    number: int
    floor: int
    done: tuple[tuple[int, int], ...]


class Account(NamedTuple):
    """Counters of the parked records; replaces the last one. What they pin in the log the store
    gathers from the records."""

    gid: int
    deferred: int
    deferred_bytes: int
    dead: int
    dead_bytes: int


class Park(NamedTuple):
    """Put a record into a lane ("deferred" or "dead"), in place of `old`, of the same group.

    `body` says where the bytes come from: pieces to be cut and packed into the record's own
    block (key: record.block == record.first), or () when they stay where they are.
    """

    lane: str
    record: Parked
    body: tuple[Piece, ...] = ()
    old: tuple[str, Parked] | None = None


class Unpark(NamedTuple):
    """Delete a record and, with `body`, its bytes."""

    lane: str
    record: Parked
    body: bool = True


class ForgetTopic(NamedTuple):
    """Messages of the topic below this position are gone for everybody; 0: there are none left
    that anybody would have to be told so of."""

    topic: str
    below: int


StateOp = SaveGroup | DropGroup | Delta | Snapshot | Account | Park | Unpark | ForgetTopic


class Commit(NamedTuple):
    """All of `ops` in one durable step; answered by Committed(token)."""

    token: int
    ops: tuple[StateOp, ...]


class LoadDue(NamedTuple):
    """The next deferred records after (due_us, first), in that order."""

    group: str
    gid: int
    after: tuple[int, int]
    limit: int


class FindParked(NamedTuple):
    """Records that touch any of `ranges`, or with no ranges the `limit` next after `after`."""

    token: int
    gid: int
    lane: str
    ranges: tuple[tuple[int, int], ...] = ()
    after: int = 0
    limit: int = 1_000


# ---- for the wire -----------------------------------------------------------------------------


class Grant(NamedTuple):
    """One lease as it is handed out. `attempts`, `deliveries`: one per message or () when all
    0 / 1; `history`: one tuple of (at_us, reason, consumer, counted) per message, or ()."""

    lease: bytes
    topic: str
    lane: str
    number: int
    lease_ms: int
    alone: bool
    pieces: tuple[Piece, ...]
    at_us: int = 0
    attempts: tuple[int, ...] = ()
    deliveries: tuple[int, ...] = ()
    history: tuple[tuple[tuple[int, str, str, bool], ...], ...] = ()


class Lost(NamedTuple):
    """Part of a settle that was refused."""

    lease: bytes
    ranges: tuple[tuple[int, int], ...]
    code: str


class Deliver(NamedTuple):
    """The answer to a poll. `hand_back_ms` tells a client from when on a message is slow."""

    caller: Caller
    group: str
    n: int
    leases: tuple[Grant, ...]
    refused: tuple[Lost, ...] = ()
    why: str = ""
    hand_back_ms: int = 0

    @property
    def lease_ids(self) -> tuple[bytes, ...]:
        return tuple(grant.lease for grant in self.leases)


class ReadOut(NamedTuple):
    """The answer to a read: one block per run of pieces of one topic, and where to go on."""

    caller: Caller
    blocks: tuple[tuple[str, tuple[Piece, ...]], ...]
    next: int
    at_us: tuple[int, ...] = ()


class Reply(NamedTuple):
    """Any other answer: the op's own fields. `blocks` follow as frames (parked bodies)."""

    caller: Caller
    fields: Mapping[str, object]
    blocks: tuple[tuple[int, str, Parked], ...] = ()


class Confirm(NamedTuple):
    """Pushes of one producer over one connection, `first_seq .. last_seq`, are durable."""

    caller: Caller
    producer: bytes
    first_seq: int
    last_seq: int
    positions: tuple[int, ...]


class Refuse(NamedTuple):
    caller: Caller
    code: str
    text: str
    retry_ms: int = 0
    fields: Mapping[str, object] = {}


# ---- for the operator -------------------------------------------------------------------------


class Note(NamedTuple):
    """Something an operator must be told, loudly: `event` is a stable word, `fields` the facts."""

    event: str
    fields: Mapping[str, object]


class Quiesced(NamedTuple):
    """Nothing is out and everything is committed: the process may stop."""


Effect = (
    Append | ResumeAppends | LoadRows | FindTime | Trim | Commit | LoadDue | FindParked
    | Deliver | ReadOut | Reply | Confirm | Refuse | Note | Quiesced
)  # fmt: skip
