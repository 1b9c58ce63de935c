"""Changes to a block: one field of its header or one entry of a column, summed up again or not.

Owns where the fields stand (from PROTOCOL.md, section 6). Must never import a codec under test.
"""

from __future__ import annotations

import random
from zlib import crc32

FIELDS = (
    *((0, 4), (4, 1), (5, 1), (6, 2), (8, 4), (12, 4), (16, 8)),
    *((24, 4), (28, 4), (32, 4), (36, 4), (40, 4), (44, 4)),
)
"""(offset, bytes): magic, version, codec, flags, CRC, count, base time, the six sizes."""

HEADER = 48


def summed(block: bytes) -> bytes:
    """With the CRC that its bytes have."""
    if len(block) < 12:
        return block
    crc = crc32(block[12:], crc32(block[:8]))
    return block[:8] + crc.to_bytes(4, "little") + block[12:]


def _number(old: int, width: int, rng: random.Random) -> int:
    """Near the old one, or at an edge of its width or of 2^53."""
    top = (1 << 8 * width) - 1
    chosen = (0, 1, top, top >> 1, old + 1, old - 1, old * 2, old ^ (1 << int(rng.random() * 8)))
    chosen += (
        (1 << 53) - 1,
        1 << 53,
        (1 << 53) - (1 << 32),
        old + 4,
        old - 4,
        int(rng.random() * 99),
    )
    return chosen[int(rng.random() * len(chosen))] & top


def _set(block: bytes, at: int, width: int, rng: random.Random) -> bytes:
    old = int.from_bytes(block[at : at + width], "little")
    return block[:at] + _number(old, width, rng).to_bytes(width, "little") + block[at + width :]


def field(block: bytes, rng: random.Random) -> bytes:
    return _set(block, *FIELDS[int(rng.random() * len(FIELDS))], rng)


def column(block: bytes, rng: random.Random) -> bytes:
    """An entry of whatever column is there."""
    if len(block) <= HEADER:
        return block
    return _set(
        block,
        HEADER + int(rng.random() * (len(block) - HEADER)),
        2 if rng.random() < 0.5 else 4,
        rng,
    )


def moved(block: bytes, rng: random.Random) -> bytes:
    """Bytes of one column counted to another: the sum stays right."""
    if len(block) < HEADER:
        return block
    give, take = 24 + 4 * int(rng.random() * 6), 24 + 4 * int(rng.random() * 6)
    by = 1 + int(rng.random() * 8)
    changed = bytearray(block)
    for at, change in ((give, -by), (take, by)):
        size = int.from_bytes(changed[at : at + 4], "little") + change
        changed[at : at + 4] = (size & 0xFFFF_FFFF).to_bytes(4, "little")
    return bytes(changed)


def flagged(block: bytes, rng: random.Random) -> bytes:
    """Other flags."""
    return block[:6] + int(rng.random() * 32).to_bytes(2, "little") + block[8:]


def longer(block: bytes, rng: random.Random) -> bytes:
    extra = rng.randbytes(1 + int(rng.random() * 9))
    return block + extra if rng.random() < 0.5 else block[: -len(extra)]


def doubled(block: bytes, rng: random.Random) -> bytes:
    """Many messages without bytes, said in few."""
    count = 1 << int(rng.random() * 18)
    head = block[:12] + count.to_bytes(4, "little") + bytes(8)
    return head + (4 * count).to_bytes(4, "little") + bytes(20) + bytes(4 * min(count, 4_096))


CHANGES = (
    field,
    field,
    field,
    field,
    column,
    column,
    column,
    moved,
    moved,
    flagged,
    longer,
    doubled,
)


def changed(block: bytes, rng: random.Random) -> bytes:
    for _ in range(1 if rng.random() < 0.7 else 2):
        block = CHANGES[int(rng.random() * len(CHANGES))](block, rng)
    return summed(block) if rng.random() < 0.7 else block
