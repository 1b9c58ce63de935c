"""Requests and answers as frames: one msgpack map, then blocks.

Owns the encoding. Must never know what a request is for, who waits for it, or sockets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgpack

from layby._block import Buffer
from layby.errors import Damaged

MAP_BYTES_MAX = 1 << 20
ELEMENTS_MAX = 1 << 16

Frames = list[Buffer]
Fields = Mapping[str, Any]


class Answer(NamedTuple):
    """What the broker said: its map, and the blocks behind it."""

    fields: dict[str, Any]
    blocks: list[Buffer]

    @property
    def ok(self) -> bool:
        return self.fields.get("ok") is True


def encode(op: str, request: int, fields: Fields, block: Buffer | None = None) -> Frames:
    head: bytes = msgpack.packb({"op": op, "id": request, **fields})
    return [head] if block is None else [head, block]


def decode(frames: Sequence[Buffer]) -> Answer:
    if not frames or not 0 < len(frames[0]) <= MAP_BYTES_MAX:
        raise Damaged("an answer has no map")
    try:
        fields = msgpack.unpackb(
            frames[0], strict_map_key=False, max_array_len=ELEMENTS_MAX, max_map_len=ELEMENTS_MAX
        )
    except Exception as error:
        raise Damaged(f"an answer's map cannot be read: {error}") from error
    if not isinstance(fields, dict):
        raise Damaged("an answer is not a map")
    return Answer(fields, list(frames[1:]))
