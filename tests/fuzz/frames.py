"""Changes that know no meaning: bits, splices, cuts, frames too many, envelopes.

Owns changes to a frame's bytes and to the list of frames. Must never know msgpack or blocks.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.fuzz.corpus import Message

# ---- the bytes of one frame ---------------------------------------------------------------------


def _at(data: bytes, rng: random.Random) -> int:
    return int(rng.random() * (len(data) + 1))


def flip(data: bytes, rng: random.Random, donor: bytes) -> bytes:
    changed = bytearray(data or b"\0")
    for _ in range(1 if rng.random() < 0.7 else 8):
        changed[int(rng.random() * len(changed))] ^= 1 << int(rng.random() * 8)
    return bytes(changed)


def overwrite(data: bytes, rng: random.Random, donor: bytes) -> bytes:
    at, size = _at(data, rng), int(rng.random() * 9)
    return data[:at] + rng.randbytes(size) + data[at + size :]


def cut(data: bytes, rng: random.Random, donor: bytes) -> bytes:
    return data[: _at(data, rng)]


def insert(data: bytes, rng: random.Random, donor: bytes) -> bytes:
    at = _at(data, rng)
    return data[:at] + rng.randbytes(1 + int(rng.random() * 8)) + data[at:]


def remove(data: bytes, rng: random.Random, donor: bytes) -> bytes:
    at = _at(data, rng)
    return data[:at] + data[at + 1 + int(rng.random() * 8) :]


def repeat(data: bytes, rng: random.Random, donor: bytes) -> bytes:
    at, end = sorted((_at(data, rng), _at(data, rng)))
    return data[:end] + data[at:end] * (1 + int(rng.random() * 3)) + data[end:]


def splice(data: bytes, rng: random.Random, donor: bytes) -> bytes:
    """The head of one, the tail of another."""
    return data[: _at(data, rng)] + donor[_at(donor, rng) :]


def append(data: bytes, rng: random.Random, donor: bytes) -> bytes:
    return data + (donor if rng.random() < 0.5 else rng.randbytes(1 + int(rng.random() * 30)))


BYTES: tuple[Callable[[bytes, random.Random, bytes], bytes], ...] = (
    *(flip, flip, overwrite, overwrite, cut, insert, remove, repeat, splice, append),
)

# ---- the list of frames -------------------------------------------------------------------------


def enveloped(frames: Message, rng: random.Random, donor: bytes) -> Message:
    """A rightful envelope, as a REQ or proxies write it."""
    return [rng.randbytes(1 + int(rng.random() * 5)) for _ in range(int(rng.random() * 8))] + [
        b"",
        *frames,
    ]


def odd_envelope(frames: Message, rng: random.Random, donor: bytes) -> Message:
    """One that is too long, too wide, or all there is."""
    choice = int(rng.random() * 6)
    if choice == 0:
        return [b"e"] * 8 + [b"", *frames]
    if choice == 1:
        return [b"e" * 256, b"", *frames]
    if choice == 2:
        return [b"e" * 255, b"", *frames]
    if choice == 3:
        return [b""] * (1 + int(rng.random() * 12)) + frames
    if choice == 4:
        return [*frames, b""]
    return [b""] * 12


def more_frames(frames: Message, rng: random.Random, donor: bytes) -> Message:
    return frames + [donor] * (1 + int(rng.random() * 12))


def fewer_frames(frames: Message, rng: random.Random, donor: bytes) -> Message:
    return frames[: int(rng.random() * len(frames))]


def shuffled(frames: Message, rng: random.Random, donor: bytes) -> Message:
    return rng.sample(frames, len(frames))


def with_block(frames: Message, rng: random.Random, donor: bytes) -> Message:
    return [frames[0], donor]


FRAMES: tuple[Callable[[Message, random.Random, bytes], Message], ...] = (
    *(enveloped, enveloped, odd_envelope, more_frames, fewer_frames, shuffled, with_block),
)
