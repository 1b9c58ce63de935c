"""The layout of a block: a run of messages of one topic in one frame, in columns.

Owns where each byte stands. Must never know what a message is for, nor who makes blocks.
All numbers are little-endian and unsigned.

     0        4   5   6     8        12       16              24                           48
    +--------+---+---+-----+--------+--------+---------------+----------------------------+
    | "LBK1" | 1 | 0 |flags| CRC-32 |messages| base time, us | six sizes, u32 each        |
    +--------+---+---+-----+--------+--------+---------------+----------------------------+
             version codec

    then the columns, in the order of their sizes:
    lengths   u32 per message       bytes of its body
    hashes    8 bytes per message   (flag 1) first 8 bytes of SHA-256(key), zeros without a key
    times     u32 per message       (flag 2) microseconds after the base time
    keys      u16 per message       (flag 4) length of its key, 0 = none; then all keys
    headers   u16 per message       (flag 8) length of its headers, 0 = none; then all headers
    bodies    all messages, one after the other

The CRC covers every byte but its own four. A base time of 0 without a times column means that
the times are not set: the broker's append time counts.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple
from zlib import crc32

Buffer = bytes | bytearray | memoryview

HASHES, TIMES, KEYS, HEADERS = 1, 2, 4, 8
U32_MAX = 0xFFFF_FFFF
U16_MAX = 0xFFFF
U64_MAX = (1 << 64) - 1

_MAGIC = b"LBK1"
_VERSION = 1
_CODEC = 0
_HEADER = struct.Struct("<4sBBHIIQ6I")
_CRC = slice(8, 12)
HEADER_SIZE = _HEADER.size


class BlockError(ValueError):
    """The bytes are not a block of this version. The text says what is wrong and what to do."""

    code = "bad_block"


class OversizeError(BlockError):
    """A block in order, but with more than the broker takes."""

    code = "too_large"


class SpanError(BlockError):
    """The times do not fit one block; the first `fits` items or parts do."""

    def __init__(self, fits: int) -> None:
        super().__init__(
            "the times do not fit one block: they span more than 4294.9 s, or only some are set; "
            "make several blocks"
        )
        self.fits = fits


class Sizes(NamedTuple):
    """Bytes of each column."""

    lengths: int
    hashes: int
    times: int
    keys: int
    headers: int
    bodies: int


class Header(NamedTuple):
    flags: int
    crc: int
    messages: int
    base_us: int
    sizes: Sizes


def header(block: Buffer) -> Header:
    """The header of a block, checked only for being one of this version."""
    if len(block) < HEADER_SIZE:
        raise BlockError(f"a block is at least {HEADER_SIZE} bytes, this has {len(block)}")
    magic, version, codec, flags, crc, messages, base_us, *sizes = _HEADER.unpack_from(block)
    if magic != _MAGIC:
        raise BlockError("not a block: the first four bytes must be LBK1")
    if version != _VERSION or codec != _CODEC:
        raise BlockError(f"block version {version}, codec {codec}: only version 1, codec 0 exist")
    if flags & ~(HASHES | TIMES | KEYS | HEADERS):
        raise BlockError(f"unknown block flags {flags:#x}: only 1, 2, 4 and 8 exist")
    return Header(flags, crc, messages, base_us, Sizes(*sizes))


def crc_of(view: memoryview) -> int:
    return crc32(view[_CRC.stop :], crc32(view[: _CRC.start]))


def columns(view: memoryview, head: Header) -> tuple[memoryview, ...]:
    bounds = accumulate(head.sizes, initial=HEADER_SIZE)
    return tuple(view[start:end] for start, end in pairwise(bounds))


def numbers(kind: str, column: memoryview) -> array[int]:
    """A column of u32 ("I") or u16 ("H")."""
    numbers = array(kind, column.tobytes())
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def packed(kind: str, numbers: Iterable[int]) -> bytes:
    column = array(kind, numbers)
    if sys.byteorder == "big":
        column.byteswap()
    return column.tobytes()


def assemble(messages: int, base_us: int, columns: Sequence[Sequence[Buffer]]) -> bytes:
    """Header and columns, each byte copied once. A flag is set where its column has bytes."""
    sizes = [sum(map(len, parts)) for parts in columns]
    flags = sum(1 << i for i, size in enumerate(sizes[1:5]) if size)
    lead = _HEADER.pack(_MAGIC, _VERSION, _CODEC, flags, 0, messages, base_us, *sizes)
    before, after = lead[: _CRC.start], lead[_CRC.stop :]
    parts = [after, *(part for column in columns for part in column)]
    crc = crc32(before)
    for part in parts:
        crc = crc32(part, crc)
    return b"".join([before, crc.to_bytes(4, "little"), *parts])
