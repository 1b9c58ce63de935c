"""Key bytes of the delivery state, drawn as a ruler: byte order is meaning order.

Owns where each record of the state map lies. Must never know what is in it. Numbers are
big-endian, so that a scan of the map meets them in order.

    0       1           5                  13                  21
    ├───────┼───────────┼──────────────────┼───────────────────┤
    │ "a"   │ gid       │                  │                   │  account of a group
    │ "b"   │ gid       │ block            │                   │  body of a parked record
    │ "c"   │           │                  │                   │  clock: latest time known
    │ "d"   │ gid       │ number           │                   │  delta
    │ "f"   │ gid       │                  │                   │  floor and what is done above
    │ "g"   │ gid       │                  │                   │  the group itself
    │ "i"   │ gid       │ last             │                   │  record in the log -> first
    │ "o"   │ topic, as long as it is      │                   │  forgotten topic
    │ "p"   │ gid       │ last             │                   │  deferred record
    │ "t"   │ gid       │ due_us           │ first             │  its timer -> last
    │ "x"   │ gid       │ last             │                   │  dead record
    │ "z"   │ gid       │                  │                   │  highest group ever dropped
    └───────┴───────────┴──────────────────┴───────────────────┘

Records lie by their *last* position: those of one lane never overlap, so the first key at or
after a position is the only record that can hold it, wherever that record begins.
"""

from __future__ import annotations

from struct import Struct

from laybyd.core.types import DEAD, DEFERRED

_GROUP = Struct(">sI")
_PLACE = Struct(">sIQ")
_TIMER = Struct(">sIQQ")
_POSITION = Struct(">Q")

CLOCK = b"c"
GROUP, FLOOR, ACCOUNT, DROPPED = b"g", b"f", b"a", b"z"
DELTA, TIMER, BODY, PIN, FORGOTTEN = b"d", b"t", b"b", b"i", b"o"
LANES = {DEFERRED: b"p", DEAD: b"x"}

OF_GROUP = (GROUP, FLOOR, ACCOUNT, DELTA, TIMER, BODY, PIN, *LANES.values())
"""Everything that goes when a group is dropped."""


def group(gid: int) -> bytes:
    return _GROUP.pack(GROUP, gid)


def floor(gid: int) -> bytes:
    return _GROUP.pack(FLOOR, gid)


def account(gid: int) -> bytes:
    return _GROUP.pack(ACCOUNT, gid)


def dropped(gid: int) -> bytes:
    return _GROUP.pack(DROPPED, gid)


def delta(gid: int, number: int) -> bytes:
    return _PLACE.pack(DELTA, gid, number)


def record(lane: str, gid: int, last: int) -> bytes:
    return _PLACE.pack(LANES[lane], gid, last)


def timer(gid: int, due_us: int, first: int) -> bytes:
    return _TIMER.pack(TIMER, gid, due_us, first)


def body(gid: int, block: int) -> bytes:
    return _PLACE.pack(BODY, gid, block)


def pin(gid: int, last: int) -> bytes:
    """Of a parked record whose bytes are still in the log."""
    return _PLACE.pack(PIN, gid, last)


def forgotten(topic: str) -> bytes:
    return FORGOTTEN + topic.encode()


def position(number: int) -> bytes:
    return _POSITION.pack(number)


def position_of(data: bytes) -> int:
    (number,) = _POSITION.unpack(data)
    return int(number)


def pinned_by(key: bytes) -> int:
    """The last position of the record that a pin stands for."""
    return int.from_bytes(key[5:], "big")


def gid_of(key: bytes) -> int:
    return int.from_bytes(key[1:5], "big")


def due_of(key: bytes) -> int:
    return int.from_bytes(key[5:13], "big")


def topic_of(key: bytes) -> str:
    return key[1:].decode()


def all_of(letter: bytes) -> tuple[bytes, bytes]:
    """The range of every key with this letter."""
    return letter, bytes((letter[0] + 1,))


def all_of_group(letter: bytes, gid: int) -> tuple[bytes, bytes]:
    """The range of every key of this letter and group."""
    return _GROUP.pack(letter, gid), _GROUP.pack(letter, gid + 1)
