"""A block as the broker uses it: check, make, cut and pack, without touching single messages.

Owns what makes a block acceptable and how blocks are cut and joined. Must never know topics,
groups, sockets or stores; where each byte stands is laybyd.wire.layout's.
"""

from __future__ import annotations

import hashlib
import struct
from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple
from zlib import crc32

from laybyd.core.types import POSITION_END
from laybyd.wire.layout import (
    HASHES,
    HEADER_SIZE,
    HEADERS,
    KEYS,
    TIMES,
    U16_MAX,
    U32_MAX,
    U64_MAX,
    BlockError,
    Buffer,
    Header,
    OversizeError,
    SpanError,
    assemble,
    columns,
    crc_of,
    header,
    numbers,
    packed,
)

__all__ = [
    "LONE_OVERHEAD",
    "BlockError",
    "Buffer",
    "Header",
    "Item",
    "OversizeError",
    "SpanError",
    "build",
    "check",
    "crc_ok",
    "cut",
    "header",
    "pack",
    "single_crc",
    "split",
]

LONE_OVERHEAD = HEADER_SIZE + 4 + 8 + 4 + 2 + 2
"""At most so many bytes does a block of one message have besides body, key and headers."""

_SINGLE = struct.Struct("<IHHQ")


class Item(NamedTuple):
    """One message. `headers` is a packed msgpack map; b"" means the same as None."""

    data: bytes
    key: bytes | None = None
    headers: bytes | None = None
    timestamp_us: int | None = None


# ---- reading ----------------------------------------------------------------------------------


def crc_ok(block: Buffer) -> bool:
    """Whether the bytes are a block, and what its maker summed up."""
    try:
        return header(block).crc == crc_of(memoryview(block))
    except BlockError:
        return False


def check(block: Buffer, max_messages: int = 65_536, max_message: int = U32_MAX) -> Header:
    """Everything that can be said about a block without looking at single messages."""
    head = header(block)
    if not head.messages:
        raise BlockError("a block holds at least one message")
    if head.messages > max_messages:
        raise OversizeError(f"{head.messages} messages in a block, at most {max_messages} allowed")
    _check_sizes(head, len(block))
    view = memoryview(block)
    if crc_of(view) != head.crc:
        raise BlockError("the CRC does not match the bytes: sum bytes 0-7 and 12 to the end again")
    _check_columns(head, columns(view, head))
    if head.sizes.bodies > max_message:
        _check_longest(columns(view, head)[0], max_message)
    return head


def split(block: Buffer) -> list[Item]:
    """The messages of a checked block, one by one."""
    head = header(block)
    lengths, _, times, keys, headers, bodies = columns(memoryview(block), head)
    base = head.base_us
    stamps: Iterable[int | None] = [base or None] * head.messages
    if head.flags & TIMES:
        stamps = [base + after or None for after in numbers("I", times)]
    n = head.messages
    return [
        Item(data, key or None, fields or None, at_us)
        for data, key, fields, at_us in zip(
            _pieces(numbers("I", lengths), bodies),
            _texts(keys, n),
            _texts(headers, n),
            stamps,
            strict=True,
        )
    ]


def _check_sizes(head: Header, length: int) -> None:
    n, flags, sizes = head.messages, head.flags, head.sizes
    if HEADER_SIZE + sum(sizes) != length:
        raise BlockError(
            f"header and columns add up to {HEADER_SIZE + sum(sizes)} bytes, the block has {length}"
        )
    for name, size, each, flag in (
        ("lengths", sizes.lengths, 4, True),
        ("hashes", sizes.hashes, 8, flags & HASHES),
        ("times", sizes.times, 4, flags & TIMES),
    ):
        if size != (each * n if flag else 0):
            raise BlockError(
                f"the {name} column has {size} bytes, not {each} per message (or none)"
            )
    for name, size, flag in (
        ("keys", sizes.keys, flags & KEYS),
        ("headers", sizes.headers, flags & HEADERS),
    ):
        if size < 2 * n if flag else size:
            raise BlockError(f"the {name} column has {size} bytes, not 2 per message or more")


def _check_columns(head: Header, columns: tuple[memoryview, ...]) -> None:
    lengths, _, times, keys, headers, bodies = columns
    total = sum(numbers("I", lengths))
    if total != len(bodies):
        raise BlockError(f"the lengths add up to {total} bytes, the bodies have {len(bodies)}")
    for name, column in (("key", keys), ("header", headers)):
        if column and sum(numbers("H", column[: 2 * head.messages])) != len(column) - (
            2 * head.messages
        ):
            raise BlockError(f"the {name} lengths do not add up to the bytes of their column")
    last_us = head.base_us
    if times and last_us + U32_MAX >= POSITION_END:
        last_us += max(numbers("I", times))
    if last_us >= POSITION_END:
        raise BlockError("a time of the block is not below 2^53 microseconds")


def _check_longest(lengths: memoryview, max_message: int) -> None:
    if (longest := max(numbers("I", lengths))) > max_message:
        raise OversizeError(f"a message of at most {max_message} bytes, the block has {longest}")


def _pieces(lengths: Sequence[int], bodies: memoryview) -> list[bytes]:
    ends = accumulate(lengths, initial=0)
    return [bytes(bodies[start:end]) for start, end in pairwise(ends)]


def _texts(column: memoryview, n: int) -> list[bytes]:
    return _pieces(numbers("H", column[: 2 * n]), column[2 * n :]) if column else [b""] * n


# ---- making -----------------------------------------------------------------------------------


def build(items: Sequence[Item], base_us: int = 0) -> bytes:
    """A block of these messages. `base_us` is the time of messages without one (0: not set). The
    broker gives its own time, so that what it gathers packs with what producers have stamped."""
    if not items:
        raise BlockError("a block holds at least one message")
    base, times = _stamp([item.timestamp_us for item in items], base_us)
    keys = [item.key or b"" for item in items]
    headers = [item.headers or b"" for item in items]
    bodies = [item.data for item in items]
    any_key = any(keys)
    return assemble(
        len(items),
        base,
        (
            [packed("I", map(len, bodies))],
            [_key_hash(key) for key in keys] if any_key else [],
            [times],
            _text_column(keys) if any_key else [],
            _text_column(headers) if any(headers) else [],
            bodies,
        ),
    )


def single_crc(item: Item) -> int:
    """The CRC of a lone push, for its producer's row: lengths first, so no two pushes that differ
    are written alike."""
    data, key, headers = item.data, item.key or b"", item.headers or b""
    lead = _SINGLE.pack(len(data), len(key), len(headers), item.timestamp_us or 0)
    return crc32(data, crc32(headers, crc32(key, crc32(lead))))


def _stamp(stamps: list[int | None], base_us: int) -> tuple[int, bytes]:
    """Base time and times column."""
    if not any(stamps):
        return base_us, b""
    known = [at_us or base_us for at_us in stamps]
    base, _ = _common_base((at_us, at_us) for at_us in known)
    if base == max(known):
        return base, b""
    return base, packed("I", (at_us - base for at_us in known))


def _common_base(spans: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """The lowest and highest time of all spans (each lowest, highest; 0, 0 = not set)."""
    low, high = U64_MAX, 0
    for i, (first, last) in enumerate(spans):
        if i and bool(last) != bool(high):
            raise SpanError(i)
        low, high = min(low, first), max(high, last)
        if high - low > U32_MAX:
            raise SpanError(i)
    return low, high


def _key_hash(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()[:8] if key else bytes(8)


def _text_column(texts: list[bytes]) -> list[Buffer]:
    try:
        return [packed("H", map(len, texts)), *texts]
    except OverflowError:
        raise BlockError(f"a key or packed headers over {U16_MAX} bytes") from None


# ---- cutting and packing ----------------------------------------------------------------------


_NOTHING = memoryview(b"")


class _Cut(NamedTuple):
    """Some neighbouring messages of a block, as views of its columns."""

    messages: int
    base_us: int
    lengths: memoryview
    bodies: memoryview
    hashes: memoryview = _NOTHING
    times: memoryview = _NOTHING
    key_lengths: memoryview = _NOTHING
    keys: memoryview = _NOTHING
    header_lengths: memoryview = _NOTHING
    headers: memoryview = _NOTHING


def cut(block: Buffer, i: int, j: int) -> bytes:
    """Messages i .. j (from 0, both included) of a checked block as a block of its own."""
    return pack([(block, i, j)])


def pack(parts: Sequence[tuple[Buffer, int, int]]) -> bytes:
    """Messages i .. j of each checked block, in that order, as one block."""
    if len(parts) == 1:
        block, i, j = parts[0]
        if i == 0 and j == header(block).messages - 1:
            return block if isinstance(block, bytes) else bytes(block)
    cuts = [_cut(block, i, j) for block, i, j in parts]
    base, times = _pack_times(cuts)
    return assemble(
        sum(part.messages for part in cuts),
        base,
        (
            [part.lengths for part in cuts],
            _filled([part.hashes for part in cuts], cuts, 8),
            times,
            _pack_texts(cuts, [p.key_lengths for p in cuts], [p.keys for p in cuts]),
            _pack_texts(cuts, [p.header_lengths for p in cuts], [p.headers for p in cuts]),
            [part.bodies for part in cuts],
        ),
    )


def _cut(block: Buffer, i: int, j: int) -> _Cut:
    head = header(block)
    if not 0 <= i <= j < head.messages:
        raise BlockError(f"no messages {i} to {j} in a block of {head.messages}")
    view, end, n = memoryview(block), j + 1, head.messages
    if not head.flags:
        lengths, bodies = view[HEADER_SIZE : HEADER_SIZE + 4 * n], view[HEADER_SIZE + 4 * n :]
        if end - i == n:
            return _Cut(n, head.base_us, lengths, bodies)
        bodies = _slice("I", lengths, bodies, i, end)
        return _Cut(end - i, head.base_us, lengths[4 * i : 4 * end], bodies)
    lengths, hashes, times, keys, headers, bodies = columns(view, head)
    key_lengths, header_lengths = keys[: 2 * n], headers[: 2 * n]
    return _Cut(
        end - i,
        head.base_us,
        lengths[4 * i : 4 * end],
        _slice("I", lengths, bodies, i, end),
        hashes[8 * i : 8 * end],
        times[4 * i : 4 * end],
        key_lengths[2 * i : 2 * end],
        _slice("H", key_lengths, keys[2 * n :], i, end),
        header_lengths[2 * i : 2 * end],
        _slice("H", header_lengths, headers[2 * n :], i, end),
    )


def _slice(kind: str, lengths: memoryview, bodies: memoryview, i: int, end: int) -> memoryview:
    """The bytes of messages i .. end-1, found by adding up the lengths."""
    width = array(kind).itemsize
    if not bodies:
        return bodies
    start = sum(numbers(kind, lengths[: width * i]))
    return bodies[start : start + sum(numbers(kind, lengths[width * i : width * end]))]


def _filled(columns: list[memoryview], cuts: list[_Cut], width: int) -> list[Buffer]:
    """A fixed-width column of all parts, zeros for those without; nothing when no part has it."""
    if not any(columns):
        return []
    return [col or bytes(width * part.messages) for col, part in zip(columns, cuts, strict=True)]


def _pack_texts(
    cuts: list[_Cut], lengths: list[memoryview], texts: list[memoryview]
) -> list[Buffer]:
    return [*_filled(lengths, cuts, 2), *texts]


def _pack_times(cuts: list[_Cut]) -> tuple[int, list[Buffer]]:
    """Base time and times column of all parts; each part's times are moved to the common base."""
    spans = [_span(part) for part in cuts]
    base, high = _common_base(spans)
    if base == high:
        return base, []
    return base, [_moved(part, part.base_us - base) for part in cuts]


def _span(part: _Cut) -> tuple[int, int]:
    if not part.times:
        return part.base_us, part.base_us
    times = numbers("I", part.times)
    return part.base_us + min(times), part.base_us + max(times)


def _moved(part: _Cut, by: int) -> Buffer:
    """The part's times plus `by`. As one large number: the caller has made sure that no time
    leaves its 32 bits, so nothing is carried from one to the next."""
    size = 4 * part.messages
    if not by and part.times:
        return part.times
    ones = int.from_bytes(b"\1\0\0\0" * part.messages, "little")
    return (int.from_bytes(part.times, "little") + by * ones).to_bytes(size, "little")
