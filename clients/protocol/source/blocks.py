"""Vectors of blocks, valid and broken in every way the layout knows.

Owns its own writer of blocks, column by column, so that a mistake of a codec cannot hide here.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from typing import Any, NamedTuple

from clients.protocol.source.vector import Vector, bad, pack

BASE_US = 1_700_000_000_000_000
INT_MAX = (1 << 53) - 1


class Raw(NamedTuple):
    """A block in parts; None = as it should be."""

    lengths: list[int]
    bodies: bytes
    hashes: bytes = b""
    times: bytes = b""
    keys: bytes = b""
    headers: bytes = b""
    base_us: int = 0
    flags: int | None = None
    messages: int | None = None
    sizes: tuple[int, ...] | None = None
    magic: bytes = b"LBK1"
    version: int = 1
    codec: int = 0
    crc: int | None = None

    def bytes(self) -> bytes:
        lengths = b"".join(struct.pack("<I", length) for length in self.lengths)
        columns = [lengths, self.hashes, self.times, self.keys, self.headers, self.bodies]
        flags = sum(1 << i for i, column in enumerate(columns[1:5]) if column)
        lead = self.magic + bytes([self.version, self.codec])
        lead += struct.pack("<H", flags if self.flags is None else self.flags)
        messages = len(self.lengths) if self.messages is None else self.messages
        rest = struct.pack("<IQ", messages, self.base_us)
        rest += struct.pack("<6I", *(self.sizes or map(len, columns))) + b"".join(columns)
        crc = zlib.crc32(lead + rest) if self.crc is None else self.crc
        return lead + struct.pack("<I", crc) + rest


def _u16(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}H", *numbers)


def _u32(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}I", *numbers)


def key_hash(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()[:8]


def message(data: bytes, **fields: Any) -> dict[str, Any]:
    return {"data": data, **fields}


PLAIN = Raw([1, 2], b"abc")
FIELDS = pack({"host": "web-1", "pid": "77"})
FULL = Raw(
    [1, 2],
    b"abc",
    key_hash(b"k1") + bytes(8),
    _u32(0, 1_500),
    _u16(2, 0) + b"k1",
    _u16(len(FIELDS), 0) + FIELDS,
    BASE_US,
)
TIMED = Raw([1, 2], b"abc", base_us=BASE_US)


def _valid(name: str, raw: Raw, messages: list[dict[str, Any]], exact: bool = True) -> Vector:
    return Vector(name, [raw.bytes()], {"messages": messages}, exact=exact)


VALID = [
    _valid("two-plain", PLAIN, [message(b"a"), message(b"bc")]),
    _valid("one-empty-message", Raw([0], b""), [message(b"")]),
    _valid(
        "empty-among-others", Raw([1, 0, 2], b"abc"), [message(b"a"), message(b""), message(b"bc")]
    ),
    _valid(
        "two-full",
        FULL,
        [
            message(b"a", key=b"k1", headers={"host": "web-1", "pid": "77"}, timestamp_us=BASE_US),
            message(b"bc", timestamp_us=BASE_US + 1_500),
        ],
    ),
    _valid(
        "one-time-for-all",
        TIMED,
        [message(b"a", timestamp_us=BASE_US), message(b"bc", timestamp_us=BASE_US)],
    ),
    _valid(
        "widest-times",
        Raw([1, 2], b"abc", times=_u32(0, 0xFFFF_FFFF), base_us=BASE_US),
        [
            message(b"a", timestamp_us=BASE_US),
            message(b"bc", timestamp_us=BASE_US + 0xFFFF_FFFF),
        ],
    ),
    _valid(
        "times-column-where-one-time-would-do",
        Raw([1, 2], b"abc", times=_u32(7, 7), base_us=BASE_US),
        [message(b"a", timestamp_us=BASE_US + 7), message(b"bc", timestamp_us=BASE_US + 7)],
        exact=False,
    ),
    _valid(
        "keys-without-hashes",
        Raw([1, 2], b"abc", keys=_u16(0, 3) + b"key"),
        [message(b"a"), message(b"bc", key=b"key")],
        exact=False,
    ),
    _valid(
        "wrong-hashes-are-not-checked",
        Raw([1, 2], b"abc", hashes=b"\x55" * 16),
        [message(b"a"), message(b"bc")],
        exact=False,
    ),
    _valid(
        "keys-column-of-no-keys",
        Raw([1, 2], b"abc", keys=_u16(0, 0)),
        [message(b"a"), message(b"bc")],
        exact=False,
    ),
    _valid(
        "highest-time",
        Raw([1], b"a", base_us=INT_MAX),
        [message(b"a", timestamp_us=INT_MAX)],
    ),
    _valid(
        "highest-time-in-column",
        Raw([1], b"a", times=_u32(9), base_us=INT_MAX - 9),
        [message(b"a", timestamp_us=INT_MAX)],
        exact=False,
    ),
    _valid(
        "longest-key",
        Raw([1], b"a", key_hash(b"k" * 65_535), keys=_u16(65_535) + b"k" * 65_535),
        [message(b"a", key=b"k" * 65_535)],
    ),
]


def _broken(name: str, raw: Raw, code: str = "bad_block") -> Vector:
    return bad(name, code, raw.bytes())


_WHOLE = PLAIN.bytes()
_LENGTHS_SIZE = (8, 0, 0, 0, 0, 3)

INVALID = [
    bad("too-short", "bad_block", _WHOLE[:47]),
    bad("header-only", "bad_block", _WHOLE[:48]),
    bad("cut-short", "bad_block", _WHOLE[:-1]),
    bad("byte-too-many", "bad_block", _WHOLE + b"\0"),
    bad("bit-flipped-in-body", "bad_block", _WHOLE[:-1] + bytes([_WHOLE[-1] ^ 1])),
    _broken("wrong-magic", PLAIN._replace(magic=b"LBK2")),
    _broken("wrong-version", PLAIN._replace(version=2)),
    _broken("wrong-codec", PLAIN._replace(codec=1)),
    _broken("unknown-flag", PLAIN._replace(flags=16)),
    _broken("unknown-high-flag", PLAIN._replace(flags=0x8000)),
    _broken("wrong-crc", PLAIN._replace(crc=0)),
    _broken("no-messages", Raw([], b"")),
    _broken("count-without-lengths", PLAIN._replace(messages=0)),
    _broken("count-too-high", PLAIN._replace(messages=3)),
    _broken("count-highest", PLAIN._replace(messages=0xFFFF_FFFF), "too_large"),
    _broken("lengths-say-more", Raw([1, 3], b"abc")),
    _broken("lengths-say-less", Raw([1, 1], b"abc")),
    _broken("lengths-wrap-around", Raw([0xFFFF_FFFF, 4], b"abc")),
    _broken("sizes-wrap-around", PLAIN._replace(sizes=(8, 0, 0, 0, 0xFFFF_FFFF, 4))),
    _broken("size-moved", PLAIN._replace(sizes=(4, 4, 0, 0, 0, 3))),
    _broken("hashes-without-flag", FULL._replace(flags=2 | 4 | 8)),
    _broken("times-without-flag", FULL._replace(flags=1 | 4 | 8)),
    _broken("keys-without-flag", FULL._replace(flags=1 | 2 | 8)),
    _broken("headers-without-flag", FULL._replace(flags=1 | 2 | 4)),
    _broken("flag-without-hashes", PLAIN._replace(flags=1)),
    _broken("flag-without-times", PLAIN._replace(flags=2)),
    _broken("flag-without-keys", PLAIN._replace(flags=4)),
    _broken("flag-without-headers", PLAIN._replace(flags=8)),
    _broken("hashes-too-short", PLAIN._replace(hashes=bytes(8))),
    _broken("times-too-long", PLAIN._replace(times=bytes(12))),
    _broken("keys-too-short", PLAIN._replace(keys=_u16(0))),
    _broken("key-lengths-say-more", PLAIN._replace(keys=_u16(1, 2) + b"ab")),
    _broken("header-lengths-say-less", PLAIN._replace(headers=_u16(0, 0) + b"\x80")),
    _broken("base-time-2-53", PLAIN._replace(base_us=1 << 53)),
    _broken("base-time-highest", PLAIN._replace(base_us=(1 << 64) - 1)),
    _broken("time-reaches-2-53", Raw([1], b"a", times=_u32(10), base_us=INT_MAX - 9)),
]

VECTORS = VALID + INVALID
