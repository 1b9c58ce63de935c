"""Blocks: what a check finds, and that cutting and packing give the same messages."""

import pytest

from laybyd.wire import block as blocks
from laybyd.wire.block import Item

BASE = 1_700_000_000_000_000
SPAN = (1 << 32) - 1


def items(first: int, n: int, **fields) -> list[Item]:
    return [Item(b"m%d" % i, **fields) for i in range(first, first + n)]


def full(first: int, n: int) -> list[Item]:
    return [
        Item(b"m%d" % i, b"k%d" % i if i % 3 else None, b"\x81\xa1a\xa1b", BASE + i)
        for i in range(first, first + n)
    ]


def test_empty_block_is_refused():
    with pytest.raises(blocks.BlockError):
        blocks.build([])


@pytest.mark.parametrize("make", [items, full])
def test_cut_is_a_block_of_its_own(make):
    messages = make(0, 20)
    part = blocks.cut(blocks.build(messages), 3, 17)
    assert blocks.check(part).messages == 15
    assert blocks.split(part) == messages[3:18]


def test_cut_of_everything_is_the_block_itself():
    block = blocks.build(items(0, 3))
    assert blocks.cut(block, 0, 2) is block
    assert blocks.cut(memoryview(block), 0, 2) == block


@pytest.mark.parametrize(("i", "j"), [(-1, 0), (2, 1), (0, 3), (3, 3)])
def test_cut_outside_is_refused(i, j):
    with pytest.raises(blocks.BlockError):
        blocks.cut(blocks.build(items(0, 3)), i, j)


def test_pack_joins_blocks_with_different_columns():
    timed = [Item(b"t", timestamp_us=BASE + 5)]
    keyed = [Item(b"k", b"key", timestamp_us=BASE)]
    whole = [Item(b"h", None, b"\x81\xa1a\xa1b", BASE + 9), Item(b"i", timestamp_us=BASE + 7)]
    parts = [(blocks.build(part), 0, len(part) - 1) for part in (timed, keyed, whole)]
    block = blocks.pack(parts)
    assert blocks.check(block).messages == 4
    assert blocks.split(block) == timed + keyed + whole
    assert block == blocks.build(timed + keyed + whole)


def test_pack_keeps_times_unset():
    block = blocks.build(items(0, 2))
    packed = blocks.pack([(block, 1, 1), (block, 0, 0)])
    assert blocks.header(packed).base_us == 0
    assert [item.data for item in blocks.split(packed)] == [b"m1", b"m0"]


def test_pack_of_one_time_needs_no_column():
    one, two = (
        blocks.build(items(0, 1, timestamp_us=BASE)),
        blocks.build(items(1, 1, timestamp_us=BASE)),
    )
    packed = blocks.pack([(one, 0, 0), (two, 0, 0)])
    assert blocks.header(packed).flags == 0
    assert blocks.split(packed) == items(0, 2, timestamp_us=BASE)


def test_widest_span_fits():
    early, late = items(0, 1, timestamp_us=BASE), items(1, 1, timestamp_us=BASE + SPAN)
    parts = [(blocks.build(part), 0, 0) for part in (late, early)]
    assert blocks.split(blocks.pack(parts)) == late + early


def test_times_too_far_apart_are_named():
    parts = [
        (blocks.build(items(i, 1, timestamp_us=at)), 0, 0)
        for i, at in enumerate((BASE + 1, BASE + SPAN + 1, BASE, BASE + 2))
    ]
    with pytest.raises(blocks.SpanError) as error:
        blocks.pack(parts)
    assert error.value.fits == 2
    blocks.pack(parts[:2])


def test_set_and_unset_times_do_not_mix():
    unset, timed = blocks.build(items(0, 1)), blocks.build(items(1, 1, timestamp_us=BASE))
    for parts in ([(unset, 0, 0), (timed, 0, 0)], [(timed, 0, 0), (unset, 0, 0)]):
        with pytest.raises(blocks.SpanError) as error:
            blocks.pack(parts)
        assert error.value.fits == 1


def test_build_gives_a_time_to_messages_without():
    mixed = [Item(b"a"), Item(b"b", timestamp_us=BASE)]
    stamps = [item.timestamp_us for item in blocks.split(blocks.build(mixed, BASE + 3))]
    assert stamps == [BASE + 3, BASE]


def test_build_refuses_times_too_far_apart():
    with pytest.raises(blocks.SpanError) as error:
        blocks.build([Item(b"", timestamp_us=BASE), Item(b"", timestamp_us=BASE + SPAN + 1)])
    assert error.value.fits == 1
    with pytest.raises(blocks.SpanError):
        blocks.build([Item(b""), Item(b"", timestamp_us=BASE)])


def test_key_too_long_is_refused():
    with pytest.raises(blocks.BlockError, match="65535"):
        blocks.build([Item(b"", b"k" * 65_536)])


def test_too_many_messages():
    block = blocks.build(items(0, 3))
    blocks.check(block, max_messages=3)
    with pytest.raises(blocks.OversizeError):
        blocks.check(block, max_messages=2)


def test_too_long_a_message():
    block = blocks.build([Item(b"12345"), Item(b"123456")])
    blocks.check(block, max_message=6)
    with pytest.raises(blocks.OversizeError):
        blocks.check(block, max_message=5)


def test_every_flipped_bit_is_noticed():
    block = blocks.build(full(0, 3))
    for bit in range(8 * len(block)):
        damaged = bytearray(block)
        damaged[bit // 8] ^= 1 << bit % 8
        assert not blocks.crc_ok(bytes(damaged))
        with pytest.raises(blocks.BlockError):
            blocks.check(bytes(damaged))


def test_crc_of_a_fragment_is_not_ok():
    assert not blocks.crc_ok(b"")
    assert not blocks.crc_ok(b"LBK1" + bytes(40))


def test_single_crc_tells_fields_apart():
    alike = [
        Item(b"ab"),
        Item(b"b", b"a"),
        Item(b"b", None, b"a"),
        Item(b"", b"ab"),
        Item(b"ab", timestamp_us=1),
    ]
    assert len({blocks.single_crc(item) for item in alike}) == len(alike)
    assert blocks.single_crc(Item(b"a", b"", b"")) == blocks.single_crc(Item(b"a"))


def test_block_overhead_of_a_lone_message():
    item = Item(b"data", b"key", b"\x81\xa1a\xa1b", BASE)
    size = blocks.LONE_OVERHEAD + len(item.data) + 3 + 5
    assert len(blocks.build([item, item._replace(timestamp_us=BASE + 1)])) <= 2 * size
    assert len(blocks.build([item])) <= size
