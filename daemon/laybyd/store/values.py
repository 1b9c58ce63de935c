"""Value bytes of the delivery state: a version, a checksum, and msgpack.

Owns the format of each record. Must never know where it lies (`keys`) nor what it makes the
broker do. The checksum covers the key too: a value that turns up under another key is damage.
"""

from __future__ import annotations

from struct import Struct
from typing import Any
from zlib import crc32

import msgpack

from laybyd.core.types import Failure, GroupRecord, Parked
from laybyd.store.base import Damaged

VERSION = 1
_HEAD = Struct(">BI")

Ranges = tuple[tuple[int, int], ...]


def seal(key: bytes, meaning: object) -> bytes:
    payload: bytes = msgpack.packb(meaning)
    return _HEAD.pack(VERSION, crc32(payload, crc32(key))) + payload


def unseal(key: bytes, value: bytes) -> Any:
    """What was sealed under this key; lists come back as tuples. Raises Damaged."""
    if len(value) <= _HEAD.size:
        raise Damaged(f"the state record {key.hex()} is cut short")
    version, crc = _HEAD.unpack_from(value)
    if version != VERSION:
        raise Damaged(f"the state record {key.hex()} has format {version}, this is {VERSION}")
    payload = value[_HEAD.size :]
    if crc32(payload, crc32(key)) != crc:
        raise Damaged(f"the state record {key.hex()} fails its checksum")
    return msgpack.unpackb(payload, use_list=False)


def parked(fields: tuple[Any, ...]) -> Parked:
    whole = Parked(*fields)
    if not whole.history:
        return whole
    return whole._replace(history=tuple(Failure(*line) for line in whole.history))


def group(fields: tuple[Any, ...]) -> GroupRecord:
    return GroupRecord(*fields)


def merged(ranges: list[tuple[int, int]], floor: int, end: int) -> Ranges:
    """The union of the ranges, cut to `floor <= position < end`."""
    made: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        low, high = max(first, floor), min(last, end - 1)
        if low > high:
            continue
        if made and low <= made[-1][1] + 1:
            made[-1] = (made[-1][0], max(made[-1][1], high))
        else:
            made.append((low, high))
    return tuple(made)
