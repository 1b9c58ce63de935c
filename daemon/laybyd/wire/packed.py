"""Maps from strangers: msgpack, looked through before it is decoded.

Owns what may stand in a request map whatever its meaning: depth, number of elements, no ext types,
integers below 2^53, string keys, no key twice. Must never know operations or fields.

msgpack's decoder allocates what an array declares, level by level, so a few bytes can cost a
hundred megabytes; its own limits bound each level but not their product. Hence `screen` walks over
the bytes first, at about 0.1 us per element, and stops where a bound is passed.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import msgpack

from laybyd.wire.limits import INT_END, MAP_DEPTH, MAP_ELEMENTS


class PackError(ValueError):
    """The bytes are not an acceptable map. `code` is the refusal code."""

    def __init__(self, text: str, code: str = "bad_request") -> None:
        super().__init__(text)
        self.code = code


def unpack(data: bytes) -> dict[str, object]:
    """The one map that `data` is. Raises PackError, and nothing else whatever the bytes;
    MemoryError is not theirs."""
    screen(data)
    try:
        value = msgpack.unpackb(data, object_pairs_hook=_unique, strict_map_key=False)
    except (PackError, MemoryError):
        raise
    except Exception as error:  # whatever a decoder can raise: UnicodeDecodeError, ExtraData, ...
        raise PackError(f"not one whole msgpack map with UTF-8 strings: {error}") from None
    if type(value) is not dict:
        raise PackError("the frame must hold one msgpack map")
    return value


def _unique(pairs: list[tuple[object, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise PackError("a key comes twice in one map")
    for key in fields:
        if type(key) is not str:
            raise PackError(f"map keys must be strings, got {type(key).__name__}")
    return fields  # type: ignore[return-value]


# ---- looking through --------------------------------------------------------------------------


class _Length(NamedTuple):
    """How a type byte says its length: read by `unpack_from` at + 1, `width` bytes wide."""

    number: struct.Struct
    children: int
    """Elements per unit of length; 0: the length is in bytes, to be skipped."""


_SIGNED = {0xD3: struct.Struct(">q"), 0xCF: struct.Struct(">Q")}
_FIXED = {0xC0: 1, 0xC2: 1, 0xC3: 1, 0xCA: 5, 0xCB: 9, 0xCC: 2, 0xCD: 3, 0xCE: 5}
_FIXED |= {0xD0: 2, 0xD1: 3, 0xD2: 5}
_U8, _U16, _U32 = struct.Struct(">B"), struct.Struct(">H"), struct.Struct(">I")
_LENGTHS = {
    0xC4: _Length(_U8, 0),
    0xC5: _Length(_U16, 0),
    0xC6: _Length(_U32, 0),
    0xD9: _Length(_U8, 0),
    0xDA: _Length(_U16, 0),
    0xDB: _Length(_U32, 0),
    0xDC: _Length(_U16, 1),
    0xDD: _Length(_U32, 1),
    0xDE: _Length(_U16, 2),
    0xDF: _Length(_U32, 2),
}


def _step(byte: int) -> int:
    """Bytes to skip for a value that says its size in its first byte; 0 for others."""
    if byte < 0x80 or byte >= 0xE0:
        return 1
    if 0xA0 <= byte < 0xC0:
        return 1 + (byte & 0x1F)
    return _FIXED.get(byte, 0)


_STEPS = bytes(_step(byte) for byte in range(256))


def screen(data: bytes, depth_max: int = MAP_DEPTH, elements_max: int = MAP_ELEMENTS) -> None:
    """Raises PackError unless the bytes are within all bounds; the decoder finds other faults."""
    outer: list[int] = []
    at, left, elements = 0, 1, 1
    try:
        while left or outer:
            if not left:
                left = outer.pop()
                continue
            left -= 1
            byte = data[at]
            step = _STEPS[byte]
            if step:
                at += step
                continue
            at, children = _open(data, at, byte)
            if children >= 0:
                outer.append(left)
                left = children
                elements += children
                if elements > elements_max:
                    raise PackError(f"more than {elements_max} elements in a map", "too_large")
                if len(outer) > depth_max:
                    raise PackError(f"a map nested more than {depth_max} deep")
    except (IndexError, struct.error):
        raise PackError("the map is cut short") from None


def _open(data: bytes, at: int, byte: int) -> tuple[int, int]:
    """Where the next value begins, and the number of children (-1: not a container)."""
    if byte < 0xA0:
        return at + 1, (byte & 0x0F) * (2 if byte < 0x90 else 1)
    length = _LENGTHS.get(byte)
    if length is not None:
        (size,) = length.number.unpack_from(data, at + 1)
        at += 1 + length.number.size
        return (at, size * length.children) if length.children else (at + size, -1)
    wide = _SIGNED.get(byte)
    if wide is None:
        raise PackError("ext types (and the byte c1) are not allowed in a map")
    (value,) = wide.unpack_from(data, at + 1)
    if not -INT_END < value < INT_END:
        raise PackError("an integer in the map is not below 2^53")
    return at + 9, -1
