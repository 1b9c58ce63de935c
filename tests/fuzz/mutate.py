"""One message made of another: which kind of change is made to which frame, by chance.

Owns the mixture. Must never know who will read the result.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from tests.fuzz import blocks, frames, maps
from tests.fuzz.corpus import Message
from tests.fuzz.spans import Span, spans

MAGIC = b"LBK1"

Donors = Sequence[tuple[bytes, Sequence[Span]]]


def is_block(frame: bytes) -> bool:
    return frame[:4] == MAGIC


def donors(messages: Sequence[Message]) -> Donors:
    """Frames to take parts from, with the spans of those that are maps."""
    return [(frame, spans(frame)) for message in messages for frame in message if frame]


class Mutator:
    def __init__(self, rng: random.Random, given: Donors) -> None:
        self._rng = rng
        self._frames = [frame for frame, _ in given]
        self._maps = [one for one in given if one[1]]
        self._known = {frame: list(found) for frame, found in self._maps}

    def changed(self, message: Message) -> Message:
        """One to three changes."""
        rng = self._rng
        for _ in range(1 if rng.random() < 0.75 else 1 + int(rng.random() * 3)):
            message = self._once(message)
        return message

    def _once(self, message: Message) -> Message:
        rng = self._rng
        if not message or rng.random() < 0.07:
            change = frames.FRAMES[int(rng.random() * len(frames.FRAMES))]
            return change(message or [b"\x80"], rng, self._frame())
        which = int(rng.random() * len(message))
        new = list(message)
        new[which] = self._frame_changed(message[which])
        return new

    def _frame_changed(self, frame: bytes) -> bytes:
        rng = self._rng
        structured = rng.random() < 0.8
        if structured and is_block(frame):
            return blocks.changed(frame, rng)
        if structured and (found := self._spans(frame)):
            change = maps.CHANGES[int(rng.random() * len(maps.CHANGES))]
            return change(frame, found, rng, self._value())
        change = frames.BYTES[int(rng.random() * len(frames.BYTES))]
        return change(frame, rng, self._frame())

    def _spans(self, frame: bytes) -> list[Span]:
        known = self._known.get(frame)
        return spans(frame) if known is None else known

    def _frame(self) -> bytes:
        return self._frames[int(self._rng.random() * len(self._frames))]

    def _value(self) -> bytes:
        """Some value of some other map."""
        frame, found = self._maps[int(self._rng.random() * len(self._maps))]
        span = found[int(self._rng.random() * len(found))]
        return frame[span.at : span.end]
