"""Small stores on disk, and what a test wants to do with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from laybyd.store.base import Fence, NewBlock, ProducerRow
from laybyd.store.lmdb_store import LmdbStore

if TYPE_CHECKING:
    from pathlib import Path

SEGMENT = 1 << 18
SIZE = 8 << 20
BODY = 30_000


class Disk:
    """A store in a directory, owned; `crash` lets go of it as a dying process would."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.open()

    def open(self) -> Fence:
        self.store = LmdbStore(self.path, max_bytes=SIZE, segment_bytes=SEGMENT)
        self.fence = self.store.acquire()
        return self.fence

    def close(self) -> None:
        self.store.close()

    def reopen(self) -> Fence:
        self.close()
        return self.open()

    def push(self, seq: int, size: int = BODY, topic: str = "app") -> int:
        block = NewBlock(topic, 1, body(seq, size), (ProducerRow(b"one", seq, 0, seq),))
        return self.store.append(self.fence, [block], seq).rows[0].first

    def fill(self, blocks: int, first: int = 1) -> None:
        for seq in range(first, first + blocks):
            self.push(seq)

    def trim(self, below: int) -> int:
        return self.store.trim(self.fence, below)

    def names(self) -> list[str]:
        """The files that make up the store, engine locks left out."""
        return sorted(one.name for one in self.path.iterdir() if not one.name.endswith("-lock"))

    def segments(self) -> list[Path]:
        return sorted(self.path.glob("0*.lmdb"))

    def seqs(self) -> list[int]:
        """What the log holds, in order, each block checked."""
        rows, _ = self.store.rows(self.store.facts().start, 10_000)
        for row in rows:
            assert self.store.read(row.first)[1] == body(row.first, row.size)
        return [row.first for row in rows]


def body(seq: int, size: int = BODY) -> bytes:
    return (b"%08d" % seq) * (size // 8)
