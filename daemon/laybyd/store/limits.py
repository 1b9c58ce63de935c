"""How early a store calls itself full, and what it takes all the same.

Owns the numbers that every store shares. Must never know an engine.
"""

from __future__ import annotations

HEADROOM_BYTES = 32 << 20
"""The log counts as full this much early (at most an eighth of it): what the broker has already
taken in must still find room."""

SMALL_COMMIT = 64 << 10
"""A state commit up to this size is taken even above the budget: settling and trimming must
always work, for they are what makes room."""

RESERVE_BYTES = 16 << 20
"""Larger state commits are taken up to twice the budget and this: the broker stops adding messages'
bytes when it is told that the state is full, and hands nothing out when it is told that it is
spent; but what is out by then may fail, and its records must find room."""


def state_map_bytes(budget: int) -> int:
    """As much may the state take at all: with room for the pages that a commit replaces."""
    return 2 * budget + 4 * RESERVE_BYTES


def log_headroom(log_bytes: int) -> int:
    return min(HEADROOM_BYTES, log_bytes // 8)


def is_state_full(used: int, budget: int) -> bool:
    """Messages' bytes should stay in the log from here on."""
    return used > budget * 9 // 10


def is_state_spent(used: int, budget: int) -> bool:
    """Nothing that may fail should be handed out from here on."""
    return used > budget * 3 // 2


def takes_state(used: int, size: int, budget: int) -> bool:
    return size <= SMALL_COMMIT or used + size <= 2 * budget + RESERVE_BYTES
