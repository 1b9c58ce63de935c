"""Blocks of the client: what goes in comes out, and whatever comes in never breaks the reader."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from layby import _block
from layby._batcher import Batcher
from layby._block import Block, BlockError
from layby._sequence import Limits

MESSAGES = st.lists(
    st.tuples(
        st.binary(max_size=50),
        st.binary(max_size=9),
        st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
    ),
    min_size=1,
    max_size=30,
)


@given(MESSAGES, st.none() | st.integers(1, 1 << 50))
def test_a_block_gives_back_its_messages(messages, base_us):
    bodies, keys, headers = zip(*messages, strict=True)
    times = None if base_us is None else [base_us + 7 * i for i in range(len(messages))]
    packed = [_block.pack_headers(each) for each in headers]
    block = Block(_block.build(bodies, None, keys, packed, times))
    assert block.bodies(0, block.messages) == list(bodies)
    for index, (body, key, named) in enumerate(messages):
        assert block.body(index) == body
        assert block.key(index) == (key or None)
        assert block.headers(index) == named
        assert block.time_us(index) == (times[index] if times else 0)


@given(MESSAGES, st.data())
def test_any_change_of_a_byte_is_noticed(messages, data):
    bodies, keys, _ = zip(*messages, strict=True)
    block = bytearray(_block.build(bodies, keys=keys))
    at = data.draw(st.integers(0, len(block) - 1))
    block[at] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(BlockError):
        Block(bytes(block))
        raise AssertionError("a damaged block was read")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data):
    with contextlib.suppress(BlockError):
        Block(b"LBK1\x01\x00" + data)


@given(
    st.lists(st.one_of(st.binary(max_size=300), st.lists(st.binary(max_size=300), max_size=40))),
    st.integers(60, 2_000),
)
def test_a_batcher_keeps_every_message_in_order_and_its_blocks_small(sends, target):
    batcher = Batcher(Limits(max_message=300, max_block=4_096, max_messages=20), target)
    cuts, sent = [], []
    for send in sends:
        if isinstance(send, bytes):
            cuts += batcher.add(send)
            sent.append(send)
        else:
            cuts += batcher.add_many(send)
            sent += send
    last = batcher.close()
    if last is not None:
        cuts.append(last)
    found = []
    for cut in cuts:
        assert 1 <= cut.messages <= 20
        assert cut.messages == 1 or len(cut.block) <= max(target, 60)
        found += Block(cut.block).bodies(0, cut.messages)
    assert found == sent
