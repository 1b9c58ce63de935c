from __future__ import annotations

import pytest

from layby import _block
from layby._block import Block, BlockError, build


def test_bodies_come_back_one_by_one_and_together():
    block = Block(build([b"a", b"", b"ccc"]))
    assert [block.body(i) for i in range(3)] == [b"a", b"", b"ccc"]
    assert block.bodies(0, 3) == [b"a", b"", b"ccc"]
    assert block.bodies(1, 3) == [b"", b"ccc"]
    assert (block.messages, block.size(0, 3), block.size(1, 2)) == (3, 4, 0)


def test_plain_messages_have_no_key_headers_or_time():
    block = Block(build([b"a"]))
    assert (block.key(0), block.headers(0), block.time_us(0)) == (None, {}, 0)


def test_side_columns():
    headers = [_block.pack_headers({"host": "web-1"}), b""]
    block = Block(build([b"a", b"b"], keys=[b"", b"k"], headers=headers, times_us=[7, 5]))
    assert [block.key(i) for i in range(2)] == [None, b"k"]
    assert [block.headers(i) for i in range(2)] == [{"host": "web-1"}, {}]
    assert [block.time_us(i) for i in range(2)] == [7, 5]
    assert block.base_us == 5


def test_a_key_has_its_hash_and_no_key_has_none():
    assert _block.key_hash(b"") == bytes(8)
    assert _block.key_hash(b"k") == build([b"a"], keys=[b"k"])[52:60]


def test_a_view_is_read_as_bytes_are():
    data = build([b"abc"])
    assert Block(memoryview(data)).body(0) == b"abc"


def test_times_too_far_apart_are_not_one_block():
    with pytest.raises(BlockError, match="71 minutes"):
        build([b"a", b"b"], times_us=[1, 2 + (1 << 32)])


def test_a_key_that_is_too_long():
    with pytest.raises(BlockError, match="65535 bytes"):
        build([b"a"], keys=[b"k" * 65_536])


@pytest.mark.parametrize("at", [0, 4, 9, 20, 30, 52, 56])
def test_a_changed_byte_is_noticed(at):
    data = bytearray(build([b"abcdef"]))
    data[at] ^= 1
    with pytest.raises(BlockError):
        Block(bytes(data))


@pytest.mark.parametrize("data", [b"", b"LBK1", build([b"a"])[:-1], build([b"a"]) + b"x"])
def test_cut_or_extended_bytes_are_no_block(data):
    with pytest.raises(BlockError):
        Block(data)
