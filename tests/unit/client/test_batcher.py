from __future__ import annotations

from itertools import chain

import pytest

from layby._batcher import Batcher
from layby._block import Block
from layby._sequence import Limits
from layby.errors import TooLarge

LIMITS = Limits(max_message=1_000, max_block=4_096, max_messages=50)


def bodies(cuts) -> list[list[bytes]]:
    return [Block(cut.block).bodies(0, cut.messages) for cut in cuts]


def drained(batcher: Batcher, cuts) -> list[list[bytes]]:
    found = bodies(cuts)
    last = batcher.close()
    return found + bodies([last] if last else [])


def flat(runs: list[list[bytes]]) -> list[bytes]:
    return list(chain.from_iterable(runs))


def test_an_empty_batcher_closes_to_nothing():
    assert Batcher(LIMITS).close() is None


def test_many_messages_are_cut_by_bytes():
    batcher = Batcher(LIMITS, block_bytes=1_000)
    messages = [bytes([65 + i % 26]) * 90 for i in range(40)]
    cuts = list(batcher.add_many(messages))
    assert all(len(cut.block) <= 1_000 for cut in cuts)
    assert all(cut.messages == 10 for cut in cuts)
    assert flat(drained(batcher, cuts)) == messages


def test_many_small_messages_are_cut_by_number():
    batcher = Batcher(LIMITS)
    cuts = list(batcher.add_many([b"x"] * 120))
    assert [cut.messages for cut in cuts] == [50, 50]
    assert batcher.messages == 20


def test_a_message_larger_than_the_target_is_a_block_of_its_own():
    batcher = Batcher(LIMITS, block_bytes=300)
    messages = [b"a" * 10, b"b" * 900, b"c" * 10]
    assert drained(batcher, batcher.add_many(messages)) == [[each] for each in messages]


def test_sizes_that_vary_never_make_a_block_too_large():
    batcher = Batcher(LIMITS, block_bytes=500)
    messages = [b"z" * (i * 37 % 400) for i in range(200)]
    cuts = list(batcher.add_many(messages))
    assert max(len(cut.block) for cut in cuts) <= 500
    assert flat(drained(batcher, cuts)) == messages


def test_what_is_sent_singly_and_together_stays_in_order():
    batcher = Batcher(LIMITS, block_bytes=400)
    cuts = list(batcher.add(b"first"))
    cuts += batcher.add_many([b"m" * 30] * 20)
    cuts += batcher.add("last")
    assert flat(drained(batcher, cuts)) == [b"first", *[b"m" * 30] * 20, b"last"]


def test_the_open_block_is_filled_up_before_the_next_begins():
    batcher = Batcher(LIMITS, block_bytes=400)
    list(batcher.add(b"a" * 100))
    cuts = list(batcher.add_many([b"b" * 100] * 4))
    assert [cut.messages for cut in cuts] == [3]


def test_keys_and_headers_begin_late_in_a_block():
    batcher = Batcher(LIMITS)
    list(batcher.add(b"a"))
    list(batcher.add(b"b", key="k", headers={"h": "1"}))
    list(batcher.add(b"c"))
    block = Block(batcher.close().block)
    assert [block.key(i) for i in range(3)] == [None, b"k", None]
    assert [block.headers(i) for i in range(3)] == [{}, {"h": "1"}, {}]


def test_messages_with_and_without_a_time_are_different_blocks():
    batcher = Batcher(LIMITS)
    cuts = [*batcher.add(b"a"), *batcher.add(b"b", timestamp=5.0), *batcher.add(b"c")]
    assert drained(batcher, cuts) == [[b"a"], [b"b"], [b"c"]]


def test_times_far_apart_are_different_blocks():
    batcher = Batcher(LIMITS)
    cuts = [*batcher.add(b"a", timestamp=10_000.0), *batcher.add(b"b", timestamp=5_000.0)]
    assert drained(batcher, cuts) == [[b"a"], [b"b"]]


def test_a_generator_is_taken_in_pieces():
    batcher = Batcher(Limits(), block_bytes=2_000)
    cuts = list(batcher.add_many(str(i) for i in range(10_000)))
    assert flat(drained(batcher, cuts)) == [b"%d" % i for i in range(10_000)]


def test_a_message_over_the_limit_is_refused_before_anything_is_taken():
    batcher = Batcher(LIMITS)
    with pytest.raises(TooLarge):
        list(batcher.add(b"x" * 1_001))
    with pytest.raises(TooLarge):
        list(batcher.add_many([b"a", b"x" * 1_001]))
    assert batcher.messages == 0


def test_one_message_is_not_many():
    with pytest.raises(TypeError, match="send_many"):
        list(Batcher(LIMITS).add_many(b"abc"))
    with pytest.raises(TypeError, match="not int"):
        list(Batcher(LIMITS).add_many([1]))
