"""Vectors of what holds for every request: envelopes, frames, and what msgpack may hold."""

from __future__ import annotations

from typing import Any

from clients.protocol.source.blocks import INT_MAX, PLAIN
from clients.protocol.source.requests import POLL, PUSH
from clients.protocol.source.vector import Vector, bad, pack

MAP = pack(PUSH)


def _envelope(name: str, *frames: bytes, body: int = 1) -> Vector:
    split = len(frames) - body
    return Vector(name, frames, {"envelope": list(frames[:split]), "body": PUSH}, exact=False)


ENVELOPES = [
    _envelope("dealer", MAP),
    _envelope("req", b"", MAP),
    _envelope("req-correlate", b"\x00\x00\x00\x2a", b"", MAP),
    _envelope("one-proxy", b"\x00\x6b\x8b\x45\x67", b"", MAP),
    _envelope("seven-proxies", *(bytes([0, i]) for i in range(7)), b"", MAP),
    _envelope("longest-frame", b"r" * 255, b"", MAP),
    bad(
        "eight-proxies",
        "bad_request",
        *(bytes([0, i]) for i in range(8)),
        b"",
        MAP,
        note="the empty frame is the ninth: there is no envelope, and ten body frames",
    ),
    bad("long-envelope-frame", "bad_request", b"r" * 256, b"", MAP),
    bad("envelope-only", "bad_request", b""),
    bad(
        "two-empty",
        "bad_request",
        b"",
        b"",
        MAP,
        note="the body begins behind the first empty frame",
    ),
    bad("empty-block", "bad_request", b"", MAP, b""),
    bad("three-body-frames", "bad_request", MAP, PLAIN.bytes(), PLAIN.bytes()),
    bad("block-first", "bad_request", b"", PLAIN.bytes(), MAP),
]


def _with(value: bytes) -> bytes:
    """A push whose unknown key `x` has this packed value."""
    return pack(PUSH | {"x": 0})[:-1] + value


def _nested(depth: int) -> list[Any]:
    nested: list[Any] = []
    for _ in range(depth - 1):
        nested = [nested]
    return nested


def _fine(name: str, value: bytes, note: str = "") -> Vector:
    return Vector(name, [_with(value)], PUSH, exact=False, note=note)


def _refused(name: str, value: bytes, code: str = "bad_request", note: str = "") -> Vector:
    return bad(name, code, _with(value), note=note)


_POLL_ELEMENTS = 2 * len(POLL) + 2
"""Elements of POLL: each key and value, the topic, the map."""


def _crowded(elements: int) -> bytes:
    """POLL with so many elements in all."""
    return pack(POLL | {"x": [0] * (elements - _POLL_ELEMENTS - 2)})


MAPS = [
    _fine("int-2-53-minus-1", pack(INT_MAX)),
    _fine("int-minus-2-53-plus-1", pack(-INT_MAX)),
    _fine("uint64-small", b"\xcf" + (5).to_bytes(8, "big"), "any width of integer is fine"),
    _fine("float", pack(1.5), "in unknown keys only: no field is a float"),
    _fine("nil", b"\xc0"),
    _fine("depth-5", pack(_nested(4))),
    _fine("array32-empty", b"\xdd\0\0\0\0"),
    Vector("elements-8192", [_crowded(8_192)], POLL, exact=False),
    _refused("int-2-53", pack(INT_MAX + 1)),
    _refused("int-minus-2-53", pack(-INT_MAX - 1)),
    _refused("uint64-highest", b"\xcf" + b"\xff" * 8),
    _refused("int64-lowest", b"\xd3\x80" + bytes(7)),
    _refused("int-2-53-deep", pack([[INT_MAX + 1]])),
    _refused("depth-6", pack(_nested(5))),
    bad("elements-8193", "too_large", _crowded(8_193)),
    _refused("fixext1", b"\xd4\x01\x00"),
    _refused("ext8-empty", b"\xc7\x00\x05"),
    _refused("timestamp", b"\xd6\xff\x00\x00\x00\x01"),
    _refused("byte-c1", b"\xc1"),
    _refused("array-of-4-billion", b"\xdd\xff\xff\xff\xff", "too_large"),
    _refused("map-of-4-billion", b"\xdf\xff\xff\xff\xff", "too_large"),
    _refused("array-cut-short", b"\x9f"),
    _refused("text-not-utf-8", b"\xa2\xc3\x28"),
    _refused("key-twice", b"\x82\xa1a\x01\xa1a\x02"),
    _refused("key-number", b"\x81\x01\x01"),
    _refused("key-bin", b"\x81\xc4\x01a\x01"),
    bad("top-key-twice", "bad_request", b"\x84" + MAP[1:] + b"\xa2op\xa4push"),
    bad("byte-behind-the-map", "bad_request", MAP + b"\0"),
    bad("cut-short", "bad_request", MAP[:-1]),
    bad("array-not-map", "bad_request", b"\x93" + MAP[1:4]),
    bad("number-not-map", "bad_request", b"\x07"),
    bad("text-not-map", "bad_request", b'{"op": "push"}'),
    bad("empty-map", "bad_request", b"\x80"),
]
