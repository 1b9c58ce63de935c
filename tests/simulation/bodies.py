"""What a message is in here: a number nobody else has, written as fixed-width bytes.

Owns the simulated block's bytes: cut and joined by counting.
"""

from __future__ import annotations

from collections.abc import Iterable

WIDTH = 32
"""Bytes a message takes, so that limits in bytes have something to bite on."""


def write(values: Iterable[int]) -> bytes:
    return b"".join(value.to_bytes(WIDTH, "big") for value in values)


def read(body: bytes | memoryview) -> list[int]:
    raw = bytes(body)
    return [int.from_bytes(raw[at : at + WIDTH], "big") for at in range(0, len(raw), WIDTH)]


def cut(body: bytes | memoryview, start: int, stop: int) -> bytes:
    """Messages `start` .. `stop` (not included) of a body."""
    return bytes(body)[start * WIDTH : stop * WIDTH]
