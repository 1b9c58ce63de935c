"""The shape of a multipart message: routing id, envelope, body.

Owns which frame is what and how many there may be. Must never know what a map says. A frame is
bytes or, as received without a copy, anything with `.bytes` and `.buffer` (zmq.Frame).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, cast

from laybyd.wire.layout import Buffer
from laybyd.wire.limits import ENVELOPE_FRAME_BYTES, ENVELOPE_FRAMES

COPY_BYTES = 16 << 10
"""Frames below this may lie in a buffer of 8 KiB that libzmq has read several of them into, and
would keep it alive: copying one costs less than a microsecond."""


class Received(Protocol):
    """A frame that still lies in the socket library's memory."""

    @property
    def bytes(self) -> bytes: ...
    @property
    def buffer(self) -> memoryview: ...
    def __len__(self) -> int: ...


Frame = bytes | Received


class Parts(NamedTuple):
    peer: bytes
    envelope: tuple[bytes, ...]
    body: Sequence[Frame]


def split(frames: Sequence[Frame]) -> Parts:
    """If one of the first 8 frames after the routing id is empty, all up to and including it are
    the envelope; else there is none."""
    peer = raw(frames[0])
    for i in range(1, min(len(frames), 1 + ENVELOPE_FRAMES)):
        if not len(frames[i]):
            envelope = tuple(raw(part) for part in frames[1 : i + 1])
            return Parts(peer, envelope, frames[i + 1 :])
    return Parts(peer, (), frames[1:])


def why_not(parts: Parts) -> str:
    """What is wrong with the shape; "" when nothing is."""
    if not 1 <= len(parts.body) <= 2:
        return f"a request is one map, or a map and a block; got {len(parts.body)} body frames"
    if not len(parts.body[0]) or not len(parts.body[-1]):
        return "a body frame is never empty"
    if any(len(frame) > ENVELOPE_FRAME_BYTES for frame in parts.envelope):
        return f"an envelope frame has at most {ENVELOPE_FRAME_BYTES} bytes"
    return ""


def raw(frame: Frame) -> bytes:
    return frame if isinstance(frame, bytes) else frame.bytes


def to_keep(frame: Frame) -> Frame:
    """The frame in no more memory than it has bytes."""
    return raw(frame) if len(frame) < COPY_BYTES else frame


def buffer_of(frame: object) -> Buffer:
    """The frame's bytes where they lie."""
    return cast("Buffer", getattr(frame, "buffer", frame))
