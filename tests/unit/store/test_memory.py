"""The faults that a test may ask the fake for."""

from __future__ import annotations

import pytest

from laybyd.store.base import Fenced, Full, NewBlock, ProducerRow, Unavailable, Unknown
from laybyd.store.memory import MemoryStore


def a_block(seq: int, topic: str = "app") -> NewBlock:
    return NewBlock(topic, 2, b"body %d" % seq, (ProducerRow(b"p", seq, 0, seq),))


def everything(store: MemoryStore) -> tuple:
    facts = store.facts()
    return (
        store.rows(facts.start, 99),
        store.topics(),
        store.producers(),
        store.read_state(b"a", b"z", 99),
        facts,
    )


@pytest.mark.parametrize("keep_log", [0, 1, 2])
@pytest.mark.parametrize("keep_state", [0, 1, 2])
def test_a_crash_loses_whole_batches_from_the_end(keep_log: int, keep_state: int) -> None:
    """As if what was lost had never been done."""
    store, twin = MemoryStore(auto_sync=False), MemoryStore()
    fences = store.acquire(), twin.acquire()
    for one, fence in zip((store, twin), fences, strict=True):
        one.append(fence, [a_block(1), a_block(2, "other")], 10)
        one.commit_state(fence, [(b"k", b"old"), (b"l", b"old")])
    store.sync()
    steps = [(a_block(3), (b"k", b"new")), (a_block(4, "third"), (b"l", None))]
    for number, (block, put) in enumerate(steps):
        store.append(fences[0], [block], 20 + number)
        store.commit_state(fences[0], [put, (b"m%d" % number, b"x")])
        if number < keep_log:
            twin.append(fences[1], [block], 20 + number)
        if number < keep_state:
            twin.commit_state(fences[1], [put, (b"m%d" % number, b"x")])
    store.crash(keep_log, keep_state)
    with pytest.raises(Unavailable):
        store.append(fences[0], [a_block(9)], 30)
    twin.close()
    assert store.acquire().boot == 2
    twin.acquire()
    assert everything(store) == everything(twin)
    with pytest.raises(Fenced):
        store.append(fences[0], [a_block(9)], 30)


def test_what_is_synced_survives() -> None:
    store = MemoryStore()
    fence = store.acquire()
    store.append(fence, [a_block(1)], 10)
    store.commit_state(fence, [(b"k", b"v")])
    before = everything(store)
    store.crash()
    store.acquire()
    assert everything(store) == before


def test_a_trim_inside_a_commit_keeps_the_order_of_its_pushes() -> None:
    """Only the fake trims so finely; its blocks lie in the order of their topics."""
    store = MemoryStore()
    fence = store.acquire()
    store.append(fence, [a_block(2, "b"), a_block(1, "a"), a_block(3, "b")], 10)
    assert store.trim(fence, 3) == 3
    [state] = store.producers()
    assert (state.last_seq, [seq for seq, _, _ in state.recent]) == (3, [1, 2, 3])


def test_full_on_demand() -> None:
    store = MemoryStore()
    fence = store.acquire()
    store.set_full(log=True, state=True)
    assert store.room()[2:4] == (True, True)
    with pytest.raises(Full):
        store.append(fence, [a_block(1)], 1)
    with pytest.raises(Full):
        store.commit_state(fence, [(b"k", bytes(1 << 20))])
    store.commit_state(fence, [(b"k", b"settled")])
    store.set_full()
    assert store.append(fence, [a_block(1)], 1).rows[0].first == 1


def test_a_damaged_block_reads_as_other_bytes() -> None:
    store = MemoryStore()
    fence = store.acquire()
    store.append(fence, [a_block(1), a_block(2)], 1)
    store.damage(4)
    assert store.read(1)[1] == b"body 1"
    assert store.read(3)[1] == b"body 3"


@pytest.mark.parametrize("applied", [False, True])
def test_an_unknown_outcome_may_be_either(applied: bool) -> None:
    store = MemoryStore()
    fence = store.acquire()
    store.fail_next("append", Unknown("?"), applied)
    store.fail_next("commit_state", Unknown("?"), applied)
    with pytest.raises(Unknown):
        store.append(fence, [a_block(1)], 1)
    with pytest.raises(Unknown):
        store.commit_state(fence, [(b"k", b"v")])
    assert store.facts().end == (3 if applied else 1)
    assert bool(store.read_state(b"k", b"l", 1)) == applied
    store.append(fence, [a_block(1)], 1)
