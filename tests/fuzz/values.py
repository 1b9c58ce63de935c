"""Values that decoders get wrong: numbers at the edges, lies about lengths, depth, odd types.

Owns the list, packed. Must never know where a value is put.
"""

from __future__ import annotations

import math

import msgpack

_INTS = (
    *(0, 1, -1, 2, 127, 128, 255, 256, 65_535, 65_536, 10_000_000),
    *((1 << 31) - 1, 1 << 31, -(1 << 31), 1 << 32, (1 << 53) - 1, 1 << 53, -(1 << 53)),
    *((1 << 63) - 1, 1 << 63, -(1 << 63), (1 << 64) - 1),
)
_FLOATS = (0.0, 1.0, -1.0, 1.5, math.nan, math.inf, -math.inf, 1e308, 5e-324, float(1 << 53))
_TEXTS = (
    *("", "a", "\0", "*", "a" * 200, "a" * 201, "é" * 100, "\u202e", "layby.x", "earliest"),
    *("live", "dead", "deferred", "ack", "status", "push", "\U0010ffff", "x" * 5_000),
)
_BINS = (b"", b"\0", b"b" * 16, b"b" * 17, b"\xff\xfe", bytes(300), b"app", bytes(12))
_SHAPES: tuple[object, ...] = (
    *(None, True, False, [], {}, [0], [1, 2], [2, 1], [1, 1, 1, 1], [[]], [{}], {"": 0}),
    *({"a": {"b": {"c": {}}}}, {"time_us": 0}, {"time_us": -1}, [1] * 100, [""] * 70),
    *([[1, 1, 0]], [[1, 2]], [None], {"lease_ms": 10}, list(range(1, 2_001))),
)

_RAW = (
    *(b"\xc1", b"\xa2\xff\xfe", b"\xa3\xed\xa0\x80", b"\xd9\x01\xc3"),
    *(b"\xd4\x01\x00", b"\xd5\x7f\x00\x00", b"\xd8\x02" + bytes(16), b"\xc7\x03\x05abc"),
    *(b"\xc7\x0c\xff" + b"\xff" * 12, b"\xd6\xff\xff\xff\xff\xff", b"\xd7\xff" + b"\xff" * 8),
    *(b"\xc9\xff\xff\xff\xff\x01", b"\xc8\xff\xff\x01"),
    *(b"\xc6\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\xdb\x7f\xff\xff\xffa", b"\xc5\xff\xff"),
    *(b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdc\xff\xff", b"\xde\xff\xff"),
    *(b"\xdd\x00\x00\x20\x00", b"\xdf\x00\x00\x10\x00", b"\xdc\x1f\xf0" + b"\xc0" * 0x1FF0),
    *(b"\xde\x00\x02\xa1a\x01\xa1a\x02", b"\x82\x01\x01\x01\x01", b"\x81\x90\x01", b"\x81\xc0\x01"),
    *(b"\xcf" + bytes(7) + b"\x05", b"\xd3" + bytes(7) + b"\x05", b"\xce\x00\x00\x00\x01"),
    *(b"\xca\x7f\xc0\x00\x00", b"\xca\x3f\x80\x00\x00", b"\xe0", b"\xff"),
    *(b"\x91" * 3 + b"\xc0", b"\x91" * 4 + b"\xc0", b"\x91" * 5 + b"\xc0", b"\x91" * 600 + b"\xc0"),
    *(b"\x81\xa1a" * 4 + b"\xc0", b"\x81\xa1a" * 5 + b"\xc0", b"\x81\xa1a" * 700 + b"\xc0"),
    *(b"\x91" * 40_000, b"\xdd\x00\x00\xf0\x00" * 500, b"\x9f" + b"\x9f" * 15 + b"\x90" * 225),
)

EDGES = tuple(msgpack.packb(value) for value in (*_INTS, *_FLOATS, *_TEXTS, *_BINS, *_SHAPES))
EDGES += _RAW

KEYS = (
    *(b"\x01", b"\xc0", b"\x90", b"\x80", b"\xa0", b"\xc4\x02op", b"\xcb" + bytes(8), b"\xc2"),
    *(
        b"\xd4\x01\x00",
        b"\xa2\xff\xfe",
        b"\xa2op",
        b"\xa2id",
        b"\xa5topic",
        b"\xa5group",
        b"\xa3seq",
    ),
)
"""In the place of a key; most are none."""
