"""Blocks: a run of messages as one piece of bytes, built and read.

Owns the layout (block v1). Must never know topics, positions, leases or sockets.

    0     4        5      6      8    12     16      24               48
    LBK1 | version | codec | flags | CRC | count | base | six sizes u32 | columns
    columns: lengths u32 · hashes 8 B · times u32 · keys u16 + bytes · headers u16 + bytes · bodies
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from itertools import accumulate, pairwise
from zlib import crc32

import msgpack

Buffer = bytes | bytearray | memoryview

MAGIC = b"LBK1"
VERSION = 1
HASHES, TIMES, KEYS, HEADERS = 1, 2, 4, 8
HEADER = struct.Struct("<4sBBHIIQ6I")
CRC_AT = 8
CRC_END = 12
TIME_SPAN = (1 << 32) - 1
SIDE_BYTES = (1 << 16) - 1
MESSAGES_MAX = 65_536
NUMBER_END = 1 << 53
NO_HASH = bytes(8)
SWAP = sys.byteorder == "big"


class BlockError(ValueError):
    """These bytes are no block, or these messages cannot be one."""


def key_hash(key: bytes) -> bytes:
    return sha256(key).digest()[:8] if key else NO_HASH


def pack_headers(headers: Mapping[str, str] | None) -> bytes:
    packed: bytes = msgpack.packb(dict(headers)) if headers else b""
    return packed


def unpack_headers(packed: Buffer) -> dict[str, str]:
    """Nobody between producer and consumer looks at them: what is no map of texts is none."""
    if not packed:
        return {}
    try:
        found = msgpack.unpackb(packed)
    except Exception:  # whatever a decoder can raise
        return {}
    if type(found) is not dict or not all(type(v) is str for pair in found.items() for v in pair):
        return {}
    return found


def build(
    bodies: Sequence[bytes],
    lengths: Sequence[int] | None = None,
    keys: Sequence[bytes] | None = None,
    headers: Sequence[bytes] | None = None,
    times_us: Sequence[int] | None = None,
) -> bytes:
    """One block. `keys` and `headers` (packed) have b"" where a message has none; without
    `times_us` the broker's append time counts."""
    sizes = _u32(lengths if lengths is not None else list(map(len, bodies)))
    hashes = b"".join(map(key_hash, keys)) if keys else b""
    base, times = _times(times_us)
    key_column = _side(keys)
    header_column = _side(headers)
    body = b"".join(bodies)
    flags = (HASHES | KEYS if keys else 0) | (TIMES if times else 0) | (HEADERS if headers else 0)
    columns = (sizes, hashes, times, key_column, header_column, body)
    widths = tuple(map(len, columns))
    blank = HEADER.pack(MAGIC, VERSION, 0, flags, 0, len(bodies), base, *widths)
    crc = crc32(blank[CRC_END:], crc32(blank[:CRC_AT]))
    for column in columns:
        crc = crc32(column, crc)
    head = HEADER.pack(MAGIC, VERSION, 0, flags, crc, len(bodies), base, *widths)
    return b"".join((head, *columns))


def _u32(numbers: Iterable[int]) -> bytes:
    column = array("I", numbers)
    if SWAP:
        column.byteswap()
    return column.tobytes()


def _times(times_us: Sequence[int] | None) -> tuple[int, bytes]:
    if times_us is None:
        return 0, b""
    base, last = min(times_us), max(times_us)
    if last - base > TIME_SPAN:
        raise BlockError("the times of one block lie more than 71 minutes apart")
    if base == last:
        return base, b""
    return base, _u32([time - base for time in times_us])


def _side(items: Sequence[bytes] | None) -> bytes:
    """A column of short byte strings: u16 lengths, then the bytes."""
    if not items:
        return b""
    if max(map(len, items)) > SIDE_BYTES:
        raise BlockError(f"a key or the headers of a message are over {SIDE_BYTES} bytes")
    column = array("H", map(len, items))
    if SWAP:
        column.byteswap()
    return b"".join((column.tobytes(), *items))


class Block:
    """A block as received; messages are cut out of it only when asked for."""

    __slots__ = ("_bodies", "_headers", "_keys", "_times", "base_us", "ends", "messages", "view")

    def __init__(self, data: Buffer) -> None:
        view = memoryview(data).cast("B") if not isinstance(data, bytes) else memoryview(data)
        flags, self.messages, self.base_us, widths = _header(view)
        starts = list(accumulate(widths, initial=HEADER.size))
        columns = [view[starts[i] : starts[i + 1]] for i in range(6)]
        _check_widths(flags, self.messages, widths, len(view))
        self.view = view
        self.ends = list(accumulate(_read("I", columns[0]), initial=starts[5]))
        if self.ends[-1] != len(view):
            raise BlockError("the lengths do not add up to the bodies")
        self._bodies = view
        self._times = _read("I", columns[2]) if flags & TIMES else None
        if self.base_us + max(self._times or (0,)) >= NUMBER_END:
            raise BlockError("a time is beyond 2^53 microseconds")
        self._keys = _read_side(columns[3], self.messages) if flags & KEYS else None
        self._headers = _read_side(columns[4], self.messages) if flags & HEADERS else None

    def body(self, index: int) -> bytes:
        ends = self.ends
        return bytes(self.view[ends[index] : ends[index + 1]])

    def bodies(self, first: int, after: int) -> list[bytes]:
        ends = self.ends
        start = ends[first]
        run = bytes(self.view[start : ends[after]])
        cuts = [end - start for end in ends[first : after + 1]]
        return [run[low:high] for low, high in pairwise(cuts)]

    def key(self, index: int) -> bytes | None:
        return (self._keys[index] or None) if self._keys else None

    def headers(self, index: int) -> dict[str, str]:
        return unpack_headers(self._headers[index]) if self._headers else {}

    def time_us(self, index: int) -> int:
        """The producer's time; 0 when it set none."""
        return self.base_us + self._times[index] if self._times is not None else self.base_us

    def size(self, first: int, after: int) -> int:
        return self.ends[after] - self.ends[first]


def _header(view: memoryview) -> tuple[int, int, int, tuple[int, ...]]:
    if len(view) < HEADER.size:
        raise BlockError("too short for a block")
    magic, version, codec, flags, crc, messages, base_us, *widths = HEADER.unpack_from(view)
    if magic != MAGIC or version != VERSION:
        raise BlockError("not a block of version 1")
    if codec or flags & ~(HASHES | TIMES | KEYS | HEADERS):
        raise BlockError("the block uses a codec or flags this client does not know")
    if crc32(view[CRC_END:], crc32(view[:CRC_AT])) != crc:
        raise BlockError("the block's CRC does not match its bytes")
    if not 1 <= messages <= MESSAGES_MAX:
        raise BlockError("a block holds 1 to 65,536 messages")
    return flags, messages, base_us, tuple(widths)


def _check_widths(flags: int, messages: int, widths: tuple[int, ...], total: int) -> None:
    lengths, hashes, times, keys, headers, _ = widths
    good = (
        HEADER.size + sum(widths) == total
        and lengths == 4 * messages
        and hashes == (8 * messages if flags & HASHES else 0)
        and times == (4 * messages if flags & TIMES else 0)
        and (keys >= 2 * messages if flags & KEYS else keys == 0)
        and (headers >= 2 * messages if flags & HEADERS else headers == 0)
    )
    if not good:
        raise BlockError("the sizes in the block's header do not fit together")


def _read(kind: str, column: memoryview) -> array[int]:
    numbers = array(kind)
    numbers.frombytes(column)
    if SWAP:
        numbers.byteswap()
    return numbers


def _read_side(column: memoryview, messages: int) -> list[bytes]:
    widths = _read("H", column[: 2 * messages])
    cuts = list(accumulate(widths, initial=2 * messages))
    if cuts[-1] != len(column):
        raise BlockError("a column of keys or headers has a wrong size")
    return [bytes(column[low:high]) for low, high in pairwise(cuts)]
