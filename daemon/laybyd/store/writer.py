"""Appending to the one segment that takes new blocks.

Owns what goes into a commit: blocks, index entry, and now and then a checkpoint, so that a start
replays a bounded tail. Must never know files or other segments. Nothing is noted before the
commit has returned, so that a failed one leaves no trace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from laybyd.store import index
from laybyd.store.index import Opening, Sums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from laybyd.core.types import Row
    from laybyd.store.base import NewBlock
    from laybyd.store.producers import ProducerTable
    from laybyd.store.segment import Segment

CHECKPOINT_COMMITS = 4_096
CHECKPOINT_ROWS = 16_384
"""A checkpoint is due after so many of either: what a start replays at most."""

_INLINE_BYTES = 2_000
_NODE_BYTES = 48
_COMMIT_BYTES = 8 * 4_096


class Writer:
    def __init__(self, segment: Segment, table: ProducerTable) -> None:
        self._segment = segment
        self._table = table
        self._rows = 0
        self._commits = 0
        self._due: tuple[bytes, bytes] | None = None

    def append(self, blocks: Sequence[NewBlock], at_us: int) -> tuple[Row, ...]:
        segment = self._segment
        rows = index.rows_of(blocks, segment.end, at_us)
        opening = self._opening(at_us)
        entries = [index.pack_commit(rows, blocks, segment.topics.numbers)]
        if opening:
            entries.insert(0, (index.OPENING_KEY, index.pack_opening(opening)))
        if checkpoint := self._checkpoint():
            entries.insert(0, checkpoint)
        bodies = [
            (index.commit_key(row.first), block.body)
            for row, block in zip(rows, blocks, strict=True)
        ]
        segment.write(entries, bodies)
        if opening:
            segment.opening = opening._replace(producers=b"")
        self._committed(rows, blocks)
        return rows

    def _opening(self, at_us: int) -> Opening | None:
        if self._segment.opening:
            return None
        return Opening(self._segment.end, self._segment.last_us, self._table.dump(at_us))

    def open_now(self) -> None:
        """Make the segment stand alone before it holds a block, so that older ones may go."""
        opening = self._opening(self._segment.last_us)
        if opening:
            self._segment.write([(index.OPENING_KEY, index.pack_opening(opening))])
            self._segment.opening = opening._replace(producers=b"")

    def seal(self) -> None:
        """Write the last sums; nothing is appended after that."""
        segment = self._segment
        self.open_now()
        entries = []
        if segment.commits:
            self._due = self._due or self._made_checkpoint()
            entries.append(self._due)
        key = index.seal_key(segment.last_commit)
        entries.append((key, index.pack_sums(key, self._sums(b"", segment.last_commit))))
        segment.write(entries)
        segment.last_sums = segment.last_commit
        segment.sealed = True

    def _checkpoint(self) -> tuple[bytes, bytes] | None:
        """What is due stays due until a commit has taken it: a fold cannot be asked for twice."""
        due = self._rows >= CHECKPOINT_ROWS or self._commits >= CHECKPOINT_COMMITS
        if due and self._due is None:
            self._due = self._made_checkpoint()
        return self._due

    def _made_checkpoint(self) -> tuple[bytes, bytes]:
        key = index.checkpoint_key(self._segment.last_commit)
        sums = self._sums(self._table.fold(), self._segment.last_sums)
        return key, index.pack_sums(key, sums)

    def _sums(self, producers: bytes, previous: int) -> Sums:
        segment = self._segment
        return Sums(
            end=segment.end,
            last_us=segment.last_us,
            commits=segment.commits,
            topics=tuple(segment.topics.states()),
            producers=producers,
            previous=previous,
        )

    def _committed(self, rows: Sequence[Row], blocks: Sequence[NewBlock]) -> None:
        if self._due:
            self._segment.last_sums = index.first_of(self._due[0])
            self._due = None
            self._rows = self._commits = 0
        self._segment.note(rows)
        self._rows += len(rows)
        self._commits += 1
        for row, block in zip(rows, blocks, strict=True):
            for one in block.producers:
                self._table.note(one.producer, one.seq, row.first + one.offset, one.crc, row.at_us)


def estimate(blocks: Sequence[NewBlock]) -> int:
    """Bytes of file that a commit of these blocks takes, rather too many than too few."""
    total = _COMMIT_BYTES
    for block in blocks:
        size = len(block.body) + _NODE_BYTES
        total += size if size < _INLINE_BYTES else -(-size // 4_096) * 4_096
        total += _NODE_BYTES + _NODE_BYTES * len(block.producers)
    return total
