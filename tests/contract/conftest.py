"""Every store that passes for one: the tests here know only the interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from laybyd.store.base import Fence, NewBlock, ProducerRow, Store
from laybyd.store.lmdb_store import LmdbStore
from laybyd.store.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SEGMENT = 1 << 18
SIZE = 8 << 20


class Owned:
    """A store with its owner's fence, that can be let go of and taken again."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.fence: Fence = store.acquire()
        self.now_us = 1_000

    def restart(self) -> None:
        self.store.close()
        self.fence = self.store.acquire()

    def push(self, *sizes: int, topic: str = "app", messages: int = 1) -> list[int]:
        """Append blocks of these sizes in one step; their first positions."""
        blocks = [NewBlock(topic, messages, a_body(size), ()) for size in sizes]
        return [row.first for row in self.append(*blocks)]

    def append(self, *blocks: NewBlock) -> tuple:
        self.now_us += 10
        return self.store.append(self.fence, blocks, self.now_us).rows

    def trim(self, below: int) -> int:
        return self.store.trim(self.fence, below)

    def put(self, *puts) -> None:
        self.store.commit_state(self.fence, puts)

    def all_rows(self) -> list:
        facts = self.store.facts()
        rows, upto = [], facts.start
        while upto < facts.end:
            page, upto = self.store.rows(upto, 64)
            rows += page
        return rows


def a_body(size: int, seed: int = 7) -> bytes:
    return bytes((seed + at) % 251 for at in range(size))


def a_push(
    seq: int, producer: bytes = b"producer-1", size: int = 40, topic: str = "app"
) -> NewBlock:
    return NewBlock(topic, 1, a_body(size), (ProducerRow(producer, seq, 0, seq * 7),))


@pytest.fixture(params=["memory", "lmdb"])
def owned(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Owned]:
    if request.param == "memory":
        store: Store = MemoryStore(max_bytes=SIZE)
    else:
        store = LmdbStore(tmp_path / "store", max_bytes=SIZE, segment_bytes=SEGMENT)
    one = Owned(store)
    yield one
    one.store.close()
