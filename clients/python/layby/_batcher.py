"""Messages into blocks. Owns the open block and where to cut; must never know where blocks go.

The hot path is `add_many`: everything per message happens in C (map, accumulate, join).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from layby import _block
from layby._given import as_headers, as_key, as_stamp
from layby._sequence import Limits
from layby._units import Data, When, as_bytes
from layby.errors import BadBlock, LaybyError, TooLarge

BLOCK_BYTES = 65_520
"""Of a whole block: sixteen pages of the store, its own header included."""

PER_MESSAGE = 4
PER_KEY = 10
PER_HEADERS = 2
CHUNK = 4_096


class Cut(NamedTuple):
    """`error`: the block can only be shown to whom it belongs, as bodies; it was to hold more."""

    block: bytes
    messages: int
    error: LaybyError | None = None


class Batcher:
    def __init__(self, limits: Limits, block_bytes: int = BLOCK_BYTES) -> None:
        self._limits = limits
        self._target = min(block_bytes, limits.max_block) - _block.HEADER.size
        self._bodies: list[bytes] = []
        self._keys: list[bytes] | None = None
        self._headers: list[bytes] | None = None
        self._times: list[int] | None = None
        self._span = (0, 0)
        self._size = 0

    @property
    def messages(self) -> int:
        return len(self._bodies)

    @property
    def full(self) -> bool:
        return self._size >= self._target or len(self._bodies) >= self._limits.max_messages

    # ---- one by one

    def add(
        self,
        data: Data,
        key: Data | None = None,
        headers: Mapping[str, str] | None = None,
        timestamp: When | None = None,
    ) -> Iterator[Cut]:
        """Put one message into the open block; gives the block before, where it does not fit."""
        body = as_bytes(data)
        packed = as_headers(headers)
        name = as_key(key)
        time_us = as_stamp(timestamp)
        size = len(body) + PER_MESSAGE + self._side_cost(name, packed, time_us)
        self._check(len(body), size)
        if self._bodies and not self._fits(size, time_us):
            cut = self.close()
            if cut is not None:
                yield cut
        self._append(body, name, packed, time_us)
        self._size += size

    def _side_cost(self, name: bytes, packed: bytes, time_us: int | None) -> int:
        cost = 0 if time_us is None else PER_MESSAGE
        if name or self._keys is not None:
            cost += PER_KEY + len(name)
        if packed or self._headers is not None:
            cost += PER_HEADERS + len(packed)
        return cost

    def _check(self, body: int, size: int) -> None:
        limits = self._limits
        if body > limits.max_message or size > limits.max_block - _block.HEADER.size:
            text = f"a message of {body} bytes; the broker takes {limits.max_message}"
            raise TooLarge(text, {"code": "too_large"})

    def _fits(self, size: int, time_us: int | None) -> bool:
        if self._size + size > self._target or self.full:
            return False
        if (time_us is None) is not (self._times is None):
            return False  # a block has the times of all its messages or of none
        if time_us is None or self._times is None:
            return True
        low, high = self._span
        return max(high, time_us) - min(low, time_us) <= _block.TIME_SPAN

    def _append(self, body: bytes, name: bytes, packed: bytes, time_us: int | None) -> None:
        """Columns begin with the first message that needs them."""
        before = len(self._bodies)
        self._bodies.append(body)
        if name and self._keys is None:
            self._keys = [b""] * before
            self._size += PER_KEY * before
        if packed and self._headers is None:
            self._headers = [b""] * before
            self._size += PER_HEADERS * before
        if self._keys is not None:
            self._keys.append(name)
        if self._headers is not None:
            self._headers.append(packed)
        if time_us is not None:
            self._stamp(time_us)

    def _stamp(self, time_us: int) -> None:
        if self._times is None:
            self._times = []
            self._span = (time_us, time_us)
        self._times.append(time_us)
        low, high = self._span
        self._span = (min(low, time_us), max(high, time_us))

    # ---- many at once

    def add_many(self, messages: Iterable[Data]) -> Iterator[Cut]:
        """The full blocks; what is left stays in the open one."""
        for chunk in _chunks(messages):
            bodies = _all_bytes(chunk)
            lengths = list(map(len, bodies))
            self._check(max(lengths), max(lengths) + PER_MESSAGE)
            yield from self._cut_many(bodies, lengths)

    def _cut_many(self, bodies: Sequence[bytes], lengths: list[int]) -> Iterator[Cut]:
        first, total = 0, len(bodies)
        if self._bodies:
            first = self._fill_up(bodies, lengths)
            if first < total or self.full:
                cut = self.close()
                if cut is not None:
                    yield cut
        ends = list(accumulate(lengths, initial=0))
        while first < total:
            after = self._after(ends, first, total)
            if after == total and not self._is_full(ends[after] - ends[first], after - first):
                self._bodies = list(bodies[first:after])
                self._size = ends[after] - ends[first] + PER_MESSAGE * (after - first)
                return
            block = _block.build(bodies[first:after], lengths[first:after])
            yield Cut(block, after - first)
            first = after

    def _is_full(self, size: int, messages: int) -> bool:
        limit = self._limits.max_messages
        return size + PER_MESSAGE * messages >= self._target or messages >= limit

    def _after(self, ends: list[int], first: int, total: int) -> int:
        """Where a block that begins at `first` ends, by its bytes and its messages."""
        room = ends[first] + self._target
        after = bisect_right(ends, room, first + 1) - 1
        after = max(first + 1, min(after, total, first + self._limits.max_messages))
        spare = room - ends[after] - PER_MESSAGE * (after - first)
        while spare < 0 and after > first + 1:
            mean = (ends[after] - ends[first]) // (after - first) + PER_MESSAGE
            after = max(first + 1, after - max(1, -spare // mean))
            spare = room - ends[after] - PER_MESSAGE * (after - first)
        return after

    def _fill_up(self, bodies: Sequence[bytes], lengths: list[int]) -> int:
        """Put what fits into the open block; how many that were."""
        taken = 0
        for body, length in zip(bodies, lengths, strict=True):
            size = length + PER_MESSAGE + self._side_cost(b"", b"", None)
            if not self._fits(size, None):
                break
            self._append(body, b"", b"", None)
            self._size += size
            taken += 1
        return taken

    # ---- closing

    def close(self) -> Cut | None:
        """The open block, however full; None when it is empty."""
        if not self._bodies:
            return None
        bodies, sides = self._bodies, (self._keys, self._headers, self._times)
        self._bodies, self._size = [], 0
        self._keys = self._headers = self._times = None
        try:
            return Cut(_block.build(bodies, None, *sides), len(bodies))
        except Exception as error:  # every message was checked; should one be bad, others go on
            text = f"no block can be made of these messages: {error!r}"
            return Cut(_block.build(bodies), len(bodies), BadBlock(text, {"code": "bad_block"}))


def _chunks(messages: Iterable[Data]) -> Iterator[Sequence[Data]]:
    """A list as it is; anything else in pieces, so that a generator is never held whole."""
    if isinstance(messages, str | bytes | bytearray | memoryview):
        raise TypeError("send_many takes an iterable of messages; send takes one")
    if isinstance(messages, list | tuple):
        if messages:
            yield messages
        return
    chunk: list[Data] = []
    for message in messages:
        chunk.append(message)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _all_bytes(messages: Sequence[Data]) -> Sequence[bytes]:
    if set(map(type, messages)) == {bytes}:
        return messages  # type: ignore[return-value]
    return [as_bytes(message) for message in messages]
