"""Everything that can happen to the broker, as values.

Owns the input alphabet of `Broker.step`. One event per request or per commit, never per message
of a block. Must never know how an event came about (socket, disk, simulator).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from laybyd.core.types import Caller, Parked, Progress, Row, TopicState, Verdict

if TYPE_CHECKING:
    from laybyd.core.effects import Deliver
    from laybyd.core.intervals import Range

# ---- from clients -----------------------------------------------------------------------------


class Push(NamedTuple):
    """A block, or a lone message (`packed` false) that may share a block with others.

    `body` is None when the front-end had no room for the bytes: the push is refused `busy`."""

    caller: Caller
    topic: str
    body: object
    messages: int
    size: int
    crc: int
    packed: bool
    producer: bytes | None = None
    seq: int | None = None


class Poll(NamedTuple):
    """Fields as on the wire; None = left out (a minimal client)."""

    caller: Caller
    group: str
    topics: tuple[str, ...] | None
    credit: int
    credit_bytes: int
    wait_ms: int
    name: str = ""
    start: str | int | None = None
    start_us: int | None = None
    session: bytes | None = None
    n: int | None = None
    got: int | None = None
    handlers: int | None = None
    idle: int | None = None
    lease_ms: int | None = None
    live_us: int | None = None
    deferred_us: int | None = None
    verdicts: tuple[Verdict, ...] = ()
    progress: Progress | None = None


class Settle(NamedTuple):
    caller: Caller
    group: str
    verdicts: tuple[Verdict, ...]


class Extend(NamedTuple):
    caller: Caller
    group: str
    session: bytes
    progress: Progress


class Goodbye(NamedTuple):
    caller: Caller
    group: str
    session: bytes


class Read(NamedTuple):
    """Messages without a group. `at_us` is set when `from` was a time, else `first`."""

    caller: Caller
    topics: tuple[str, ...]
    first: int | None
    at_us: int | None
    until: int | None
    limit: int
    limit_bytes: int
    wait_ms: int


class Operate(NamedTuple):
    """A level 3 request: `verb` is the op name, `args` its checked fields."""

    caller: Caller
    verb: str
    args: Mapping[str, object]


Request = Poll | Settle | Extend | Goodbye | Read | Operate
"""What a connection asks, besides pushes."""


# ---- from the log -----------------------------------------------------------------------------


class NewRows(NamedTuple):
    """Blocks that are now durable, in position order, whoever pushed them."""

    rows: tuple[Row, ...]


class Stored(NamedTuple):
    """Pushes of ours that are durable, each with the position of its first message."""

    pushes: tuple[tuple[Push, int], ...]


class NotStored(NamedTuple):
    """Pushes that took no position; `code` is a refusal code (store_full, internal)."""

    pushes: tuple[Push, ...]
    code: str
    text: str


class RowsLoaded(NamedTuple):
    """Answer to LoadRows: rows from `first` on; all rows below `upto` are among them."""

    who: object
    first: int
    rows: tuple[Row, ...]
    upto: int


class PositionFound(NamedTuple):
    """Answer to FindTime: the first position appended at or after the time asked for."""

    who: object
    position: int


class Trimmed(NamedTuple):
    """The log now begins at `start`; what is left of each topic."""

    start: int
    topics: tuple[TopicState, ...]


class Space(NamedTuple):
    """Sent when one of them changes. `disk_full`: the log is full because its disk is."""

    log_full: bool
    state_full: bool
    used: int
    limit: int
    state_spent: bool = False
    disk_full: bool = False


# ---- from the state store ----------------------------------------------------------------------


class Committed(NamedTuple):
    """The Commit with this token is durable."""

    token: int


class DueLoaded(NamedTuple):
    """Answer to LoadDue: records in (due_us, first) order; `more` when the store holds later."""

    group: str
    records: tuple[Parked, ...]
    more: bool


class ParkedFound(NamedTuple):
    """Answer to FindParked; records in position order."""

    token: int
    records: tuple[Parked, ...]
    more: bool


# ---- from the front-end and the scheduler -----------------------------------------------------


class Undelivered(NamedTuple):
    """An answer with leases could not be sent: its leases never reached anybody."""

    caller: Caller
    group: str
    leases: tuple[bytes, ...]


class Fetching(NamedTuple):
    """The bytes of an answer are being fetched: nobody can work on its leases yet."""

    group: str
    leases: tuple[bytes, ...]


class Fetched(NamedTuple):
    """And now it goes out."""

    group: str
    leases: tuple[bytes, ...]


class Unmade(NamedTuple):
    """The bytes for an answer were not to be had. It was not sent: its leases are void.

    `damaged`: a whole stored block that failed its CRC; its messages become dead. Without, some
    are trimmed, which can only be once their lease is over.
    """

    answer: Deliver
    damaged: Range | None = None

    @property
    def group(self) -> str:
        return self.answer.group


class Shortened(NamedTuple):
    """The pieces of a lease did not fit one block (their times lie too far apart, or too many
    bytes): it went out with its first `kept` pieces, the rest goes to the front of its lane."""

    group: str
    lease: bytes
    kept: int


class Late(NamedTuple):
    """The process stood still for `late_us`: every lease deadline moves out by that much."""

    late_us: int


class Quiesce(NamedTuple):
    pass


AnswerNews = Fetching | Fetched | Undelivered | Unmade | Shortened

Event = (
    Push | Poll | Settle | Extend | Goodbye | Read | Operate | NewRows | Stored | NotStored
    | RowsLoaded | PositionFound | Trimmed | Space | Committed | DueLoaded | ParkedFound
    | AnswerNews | Late | Quiesce
)  # fmt: skip
