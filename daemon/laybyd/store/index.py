"""The index of a segment: what stands in it beside the blocks, and its bytes.

Owns the format of the four kinds of entry and the ruler of their keys. Must never know an engine
or a file. Every entry carries a version and a CRC-32 that covers its key too. Big-endian.

    key                         entry
    0                           header: whose segment this is; written before it goes into service
    0            "o"            opening: where it begins, and all that is known of producers there
    first                       commit: the rows of one commit, the first of which begins at `first`
    first        "c"            checkpoint: the sums of the segment up to and with that commit
    first        "s"            seal: the same, for a segment that takes nothing more

    commit:  head 6 | at_us 8 | topics known before 4, new here 4, blocks 4, producer rows 4
             | (length 2, name) of each new topic
             | (topic 4, messages 4, size 4) of each block
             | (block 4, length 1, id 16, seq 8, offset 4, crc 4) of each producer row
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

import msgpack

from laybyd.core.types import Row, TopicState
from laybyd.store.base import Damaged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from laybyd.store.base import NewBlock

VERSION = 1

_KEY = Struct(">Q")
_HEAD = Struct(">BBI")
_COMMIT = Struct(">QIIII")
_NAME = Struct(">H")
_BLOCK = Struct(">III")
_PRODUCER = Struct(">IB16sQII")

_KIND_COMMIT, _KIND_SUMS, _KIND_HEADER, _KIND_OPENING = range(4)

HEADER_KEY = _KEY.pack(0)
OPENING_KEY = HEADER_KEY + b"o"
PLAIN = _KEY.size
"""The length of a commit's key; the others are one longer, but for the header's."""


def commit_key(first: int) -> bytes:
    return _KEY.pack(first)


def checkpoint_key(first: int) -> bytes:
    return _KEY.pack(first) + b"c"


def seal_key(first: int) -> bytes:
    return _KEY.pack(first) + b"s"


def first_of(key: bytes) -> int:
    return int(_KEY.unpack_from(key)[0])


class Header(NamedTuple):
    """Which segment of which store; a recycled or foreign file never passes for another."""

    store_id: bytes
    epoch: int
    number: int


class Opening(NamedTuple):
    """Where the segment begins, and the time and the producers known by then."""

    base: int
    last_us: int
    producers: bytes


class Sums(NamedTuple):
    """What a segment holds up to `end`. `producers` are the rows since the checkpoint before,
    which lies at the commit `previous` (0: none)."""

    end: int
    last_us: int
    commits: int
    topics: tuple[TopicState, ...]
    producers: bytes
    previous: int


class PushRow(NamedTuple):
    """A push of a producer, as `ProducerTable.note` takes it."""

    producer: bytes
    seq: int
    position: int
    crc: int


class CommitEntry(NamedTuple):
    rows: list[Row]
    at_us: int
    pushes: list[PushRow]
    new_topics: list[str]


# ---- sealing ----------------------------------------------------------------------------------


def _sealed(key: bytes, kind: int, payload: bytes) -> bytes:
    return _HEAD.pack(VERSION, kind, crc32(payload, crc32(key, kind))) + payload


def _payload(key: bytes, kind: int, entry: bytes) -> bytes:
    if len(entry) < _HEAD.size:
        raise Damaged(f"index entry {key.hex()} is cut short")
    version, found, crc = _HEAD.unpack_from(entry)
    payload = entry[_HEAD.size :]
    if version != VERSION:
        raise Damaged(f"index entry {key.hex()} has format {version}, this is {VERSION}")
    if found != kind or crc32(payload, crc32(key, kind)) != crc:
        raise Damaged(f"index entry {key.hex()} fails its checksum")
    return payload


def _unpacked(key: bytes, kind: int, entry: bytes) -> Any:
    return msgpack.unpackb(_payload(key, kind, entry), use_list=False)


def pack_header(header: Header) -> bytes:
    return _sealed(HEADER_KEY, _KIND_HEADER, msgpack.packb(header))


def unpack_header(entry: bytes) -> Header:
    return Header(*_unpacked(HEADER_KEY, _KIND_HEADER, entry))


def pack_opening(opening: Opening) -> bytes:
    return _sealed(OPENING_KEY, _KIND_OPENING, msgpack.packb(opening))


def unpack_opening(entry: bytes) -> Opening:
    return Opening(*_unpacked(OPENING_KEY, _KIND_OPENING, entry))


def pack_sums(key: bytes, sums: Sums) -> bytes:
    return _sealed(key, _KIND_SUMS, msgpack.packb(sums))


def unpack_sums(key: bytes, entry: bytes) -> Sums:
    sums = Sums(*_unpacked(key, _KIND_SUMS, entry))
    return sums._replace(topics=tuple(TopicState(*one) for one in sums.topics))


# ---- commits ----------------------------------------------------------------------------------


def rows_of(blocks: Sequence[NewBlock], first: int, at_us: int) -> tuple[Row, ...]:
    rows = []
    for block in blocks:
        rows.append(Row(first, block.messages, block.topic, len(block.body), at_us))
        first += block.messages
    return tuple(rows)


def pack_commit(
    rows: Sequence[Row], blocks: Sequence[NewBlock], numbers: dict[str, int]
) -> tuple[bytes, bytes]:
    """The key and the entry of one commit. `numbers` are the topics known to the segment."""
    fresh: dict[str, int] = {}
    parts = []
    for row in rows:
        number = numbers.get(row.topic)
        if number is None:
            number = fresh.setdefault(row.topic, len(numbers) + len(fresh))
        parts.append(_BLOCK.pack(number, row.messages, row.size))
    names = [name.encode() for name in fresh]
    pushes = [
        _PRODUCER.pack(at, len(one.producer), one.producer, one.seq, one.offset, one.crc)
        for at, block in enumerate(blocks)
        for one in block.producers
    ]
    key = commit_key(rows[0].first)
    head = _COMMIT.pack(rows[0].at_us, len(numbers), len(names), len(rows), len(pushes))
    listed = b"".join(_NAME.pack(len(name)) + name for name in names)
    return key, _sealed(key, _KIND_COMMIT, head + listed + b"".join(parts) + b"".join(pushes))


def at_of(key: bytes, entry: bytes) -> int:
    """Only the time of a commit."""
    return int(_COMMIT.unpack_from(_payload(key, _KIND_COMMIT, entry))[0])


def unpack_commit(key: bytes, entry: bytes, names: Sequence[str]) -> CommitEntry:
    """`names` are the topics of the segment in order of first sight, as far as known."""
    payload = _payload(key, _KIND_COMMIT, entry)
    at_us, known, fresh, blocks, _ = _COMMIT.unpack_from(payload)
    new_topics, at = _unpack_names(payload, fresh)
    end = at + blocks * _BLOCK.size
    names = [*names[:known], *new_topics] if new_topics else names
    rows = _unpack_rows(payload[at:end], first_of(key), at_us, names)
    return CommitEntry(rows, at_us, _unpack_pushes(payload[end:], rows), new_topics)


def _unpack_names(payload: bytes, names: int) -> tuple[list[str], int]:
    at = _COMMIT.size
    found = []
    for _ in range(names):
        (length,) = _NAME.unpack_from(payload, at)
        at += _NAME.size
        found.append(payload[at : at + length].decode())
        at += length
    return found, at


def _unpack_rows(packed: bytes, first: int, at_us: int, names: Sequence[str]) -> list[Row]:
    rows = []
    for number, messages, size in _BLOCK.iter_unpack(packed):
        rows.append(Row(first, messages, names[number], size, at_us))
        first += messages
    return rows


def _unpack_pushes(packed: bytes, rows: Sequence[Row]) -> list[PushRow]:
    return [
        PushRow(producer[:length], seq, rows[block].first + offset, crc)
        for block, length, producer, seq, offset, crc in _PRODUCER.iter_unpack(packed)
    ]
