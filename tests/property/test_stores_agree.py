"""Whatever is done to them, the store on disk and the fake answer alike."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from laybyd.store.base import Erase, NewBlock, ProducerRow
from laybyd.store.lmdb_store import LmdbStore
from laybyd.store.memory import MemoryStore

TOPICS = st.sampled_from(["a", "b", "long.name", "d"])
KEYS = st.binary(max_size=3).map(lambda rest: b"K" + rest)
"""None that a store reads for itself at a start."""

BLOCKS = st.tuples(
    TOPICS,
    st.integers(1, 300),
    st.sampled_from([1, 200, 2_030, 4_079, 4_080, 9_000, 40_000]),
    st.sampled_from([b"", b"one", b"two"]),
)


class Stores(RuleBasedStateMachine):
    """The fake trims block by block, the disk by segment: compared is what both still have."""

    def __init__(self) -> None:
        super().__init__()
        self.path = Path(tempfile.mkdtemp(prefix="layby-"))
        self.disk = LmdbStore(self.path / "store", max_bytes=64 << 20, segment_bytes=1 << 18)
        self.fake = MemoryStore(max_bytes=64 << 20, store_id=bytes(16))
        self.own()
        self.now_us = 0
        self.seqs = {b"one": 0, b"two": 0}

    def own(self) -> None:
        self.fences = self.disk.acquire(), self.fake.acquire()

    def teardown(self) -> None:
        self.disk.close()
        shutil.rmtree(self.path)

    @rule(blocks=st.lists(BLOCKS, min_size=1, max_size=6), later_us=st.integers(-5, 50))
    def append(self, blocks: list[tuple[str, int, int, bytes]], later_us: int) -> None:
        self.now_us += later_us
        made = [self._block(*block) for block in blocks]
        disk, fake = (
            store.append(fence, made, self.now_us)
            for store, fence in zip((self.disk, self.fake), self.fences, strict=True)
        )
        assert disk == fake

    def _block(self, topic: str, messages: int, size: int, producer: bytes) -> NewBlock:
        rows: tuple[ProducerRow, ...] = ()
        if producer:
            self.seqs[producer] += 1
            rows = (ProducerRow(producer, self.seqs[producer], messages - 1, size),)
        return NewBlock(topic, messages, bytes((messages % 251,)) * size, rows)

    @rule(
        puts=st.lists(
            st.one_of(
                st.tuples(KEYS, st.none() | st.binary(max_size=3_000)),
                st.builds(Erase, KEYS, KEYS),
            ),
            max_size=8,
        )
    )
    def commit(self, puts: list) -> None:
        for store, fence in zip((self.disk, self.fake), self.fences, strict=True):
            store.commit_state(fence, puts)

    @rule(share=st.floats(0, 1.1))
    def trim(self, share: float) -> None:
        facts = self.disk.facts()
        below = facts.start + int(share * (facts.end - facts.start))
        start = self.disk.trim(self.fences[0], below)
        assert start <= max(below, facts.start)
        self.fake.trim(self.fences[1], start)

    @rule()
    def restart(self) -> None:
        self.disk.close()
        self.fake.close()
        self.own()

    @rule(at_us=st.integers(-10, 500))
    def find_time(self, at_us: int) -> None:
        assert self.disk.find_time(at_us) == self.fake.find_time(at_us)

    @rule(share=st.floats(0, 1), limit=st.integers(1, 20))
    def read(self, share: float, limit: int) -> None:
        facts = self.disk.facts()
        at = facts.start + int(share * (facts.end - facts.start))
        if at < facts.end:
            assert self.disk.read(at) == self.fake.read(at)
        rows, upto = self.disk.rows(at, limit)
        assert rows == self.fake.rows(at, max(len(rows), 1))[0]
        assert upto == (rows[-1].last + 1 if rows else facts.end)

    @rule(first=KEYS, end=KEYS, limit=st.integers(1, 5))
    def scan(self, first: bytes, end: bytes, limit: int) -> None:
        assert self.disk.read_state(first, end, limit) == self.fake.read_state(first, end, limit)

    @invariant()
    def same(self) -> None:
        ours, theirs = self.disk.facts(), self.fake.facts()
        assert (ours.start, ours.end, ours.last_us) == (theirs.start, theirs.end, theirs.last_us)
        assert sorted(self.disk.topics()) == sorted(self.fake.topics())
        assert sorted(self.disk.producers()) == sorted(self.fake.producers())


TestStoresAgree = Stores.TestCase
TestStoresAgree.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
