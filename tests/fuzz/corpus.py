"""Where mutations start from: the frames of every test vector of the protocol, good and bad.

Owns the reading of the vector files. Must never know what is done to the frames.
"""

from __future__ import annotations

import json
from pathlib import Path

from clients.protocol.source.vector import unhex

PROTOCOL = Path(__file__).parents[2] / "clients" / "protocol"
SMALL_BYTES = 4_096
"""Most mutations start small; the large vectors come once in a while."""

Message = list[bytes]


def codes() -> frozenset[str]:
    """The closed list of refusal codes, as the protocol has it."""
    listed = json.loads((PROTOCOL / "codes.json").read_text())
    return frozenset(code["code"] for code in listed["codes"])


def vectors(*areas: str) -> list[Message]:
    """The frames of all vectors of these areas."""
    return [
        [unhex(frame) for frame in vector["frames_hex"]]
        for area in areas
        for vector in json.loads((PROTOCOL / "vectors" / f"{area}.json").read_text())["vectors"]
    ]


def by_size(messages: list[Message]) -> tuple[list[Message], list[Message]]:
    """(small, large)."""
    small = [message for message in messages if sum(map(len, message)) <= SMALL_BYTES]
    return small, [message for message in messages if message not in small]
