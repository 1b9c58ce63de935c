"""Bytes to hand out: finds the stored blocks, checks them, cuts and packs what is wanted.

Owns the way from pieces to one block. Must never know leases or the socket. A block from the
disk is checked against its CRC here, every time; one from the ring was checked when it came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from laybyd.core.types import LIVE, Piece
from laybyd.store import records
from laybyd.wire import block as blocks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from laybyd.store.base import Store
    from laybyd.wire.block import Buffer


def buffer_of(body: object) -> bytes | memoryview:
    """The bytes of a body, be it bytes or a frame as it came from the socket."""
    return cast("bytes | memoryview", getattr(body, "buffer", body))


class DamagedBody(Exception):
    """The stored block of positions `first .. last` is not what was written."""

    def __init__(self, first: int, last: int) -> None:
        super().__init__(f"the block at positions {first}..{last} is damaged on disk")
        self.first = first
        self.last = last


class GoneBody(Exception):
    """The position was trimmed from the log, which begins at `start` now."""

    def __init__(self, start: int) -> None:
        super().__init__(f"the log begins at {start} now")
        self.start = start


class Bodies:
    """Reads for one thread. `max_bytes` bounds a packed block."""

    def __init__(self, store: Store, max_bytes: int) -> None:
        self._store = store
        self._max_bytes = max_bytes

    def packed(
        self, gid: int, pieces: Sequence[Piece], hits: Mapping[int, object]
    ) -> tuple[object, int]:
        """One block of the pieces, or of as many of the first ones as fit one; and how many.

        Raises DamagedBody, GoneBody. A whole stored block is passed on as it is, without a copy.
        """
        sources = [self._source(gid, piece, hits) for piece in pieces]
        if len(pieces) == 1:
            return _cut_out(sources[0], pieces[0]), 1
        parts = [
            (buffer_of(source), piece.first - piece.block, piece.last - piece.block)
            for source, piece in zip(sources, pieces, strict=True)
        ]
        kept = _fitting(parts, self._max_bytes)
        while True:
            try:
                return blocks.pack(parts[:kept]), kept
            except blocks.SpanError:
                kept = max(1, kept // 2)

    def _source(self, gid: int, piece: Piece, hits: Mapping[int, object]) -> object:
        if piece.lane != LIVE:
            return self._parked(gid, piece)
        hit = hits.get(piece.block)
        return self._logged(piece) if hit is None else hit

    def _logged(self, piece: Piece) -> bytes:
        try:
            row, body = self._store.read(piece.first)
        except KeyError:
            raise GoneBody(self._store.facts().start) from None
        if row.first != piece.block or not blocks.crc_ok(body):
            raise DamagedBody(row.first, row.last)
        return body

    def _parked(self, gid: int, piece: Piece) -> bytes:
        try:
            body = records.parked_body(self._store, gid, piece.block)
        except KeyError:
            raise DamagedBody(piece.first, piece.last) from None
        if not blocks.crc_ok(body):
            raise DamagedBody(piece.first, piece.last)
        return body


def _cut_out(source: object, piece: Piece) -> object:
    buffer = buffer_of(source)
    first, last = piece.first - piece.block, piece.last - piece.block
    if not first and last == blocks.header(buffer).messages - 1:
        return source
    return blocks.cut(buffer, first, last)


def _fitting(parts: Sequence[tuple[Buffer, int, int]], max_bytes: int) -> int:
    """How many of the first parts stay within the bound, by a share of their blocks' bytes."""
    total = 0
    for number, (source, first, last) in enumerate(parts):
        share = (last - first + 1) / blocks.header(source).messages
        total += int(len(source) * share)
        if total > max_bytes and number:
            return number
    return len(parts)
