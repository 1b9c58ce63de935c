"""How large anything on the wire may be.

Owns the numbers. Those of the protocol are constants; those an operator may change are `Limits`.
Must never know who sends or what is done about it.
"""

from __future__ import annotations

from typing import NamedTuple

INT_END = 1 << 53
"""Every integer lies strictly between minus this and this: a double holds it exactly."""

ID_BYTES = 16
NAME_BYTES = 200
TEXT_BYTES = 200
REASON_BYTES = 1_024
ENVELOPE_FRAMES = 8
ENVELOPE_FRAME_BYTES = 255
FRAMES = 1 + ENVELOPE_FRAMES + 2
"""Routing id, envelope, map and block."""

SMALL_MAP_BYTES = 4 << 10
LARGE_MAP_BYTES = 64 << 10
ANSWER_MAP_BYTES = 64 << 10
MAP_DEPTH = 5
MAP_ELEMENTS = 8_192

PATTERNS = 64
PAGE = 1_000
PAIRS = 1_000
HANDLERS = 65_536
LEASE_MS_MIN = 10
LEASE_MS_MAX = 3_600_000
DURATION_MS_MAX = 366 * 24 * 3_600_000
BACKOFF_STEPS = 32
READ_MESSAGES = 1_000
READ_BYTES = 1 << 20

ANSWER_HISTORY = 4
ANSWER_REASON_BYTES = 200


class Limits(NamedTuple):
    max_message: int = 1 << 20
    max_block: int = 2 << 20
    max_messages: int = 65_536
    wait_ms: int = 30_000
    pushes_in_flight: int = 1_024
    credit_bytes: int = 8 << 20
    """Of messages in one answer; and what a producer should have unconfirmed at most."""
