"""What one turn appends: lone messages of a topic share a block, blocks stay as they came."""

from laybyd.core.events import Push
from laybyd.core.types import Caller, Row
from laybyd.scheduler.appends import Appends
from laybyd.wire import block as blocks
from laybyd.wire.block import Item

NOW = 1_700_000_000_000_000


def lone(
    data: bytes, topic: str = "app", producer: bytes | None = None, seq: int | None = None, **item
):
    body = Item(data, **item)
    size = len(data) + 52
    return Push(Caller(b"p"), topic, body, 1, size, blocks.single_crc(body), False, producer, seq)


def packed(*data: bytes, topic: str = "app") -> Push:
    body = blocks.build([Item(one) for one in data], NOW)
    return Push(Caller(b"p"), topic, body, len(data), len(body), blocks.header(body).crc, True)


def take(*pushes: Push, max_bytes: int = 1 << 20, max_messages: int = 65_536):
    appends = Appends(max_bytes, max_messages)
    for push in pushes:
        appends.add(push)
    return appends.take(NOW)


def bodies(placed) -> list[bytes]:
    return [item.data for item in blocks.split(placed.body)]


def test_lone_messages_of_a_topic_become_one_block_in_their_order():
    group = take(lone(b"1"), lone(b"x", "other"), lone(b"2"), lone(b"3"))
    assert [(one.block.topic, bodies(one)) for one in group.placed] == [
        ("app", [b"1", b"2", b"3"]),
        ("other", [b"x"]),
    ]


def test_a_pushed_block_is_stored_as_it_came():
    push = packed(b"1", b"2")
    (placed,) = take(push).placed
    assert placed.block.body is push.body
    assert placed.block.messages == 2


def test_a_block_keeps_its_place_among_the_lone_messages_of_its_topic():
    group = take(lone(b"1"), lone(b"x", "other"), packed(b"2", b"3"), lone(b"4"))
    assert [(one.block.topic, bodies(one)) for one in group.placed] == [
        ("app", [b"1"]),
        ("app", [b"2", b"3"]),
        ("other", [b"x"]),
        ("app", [b"4"]),
    ]


def test_each_push_learns_the_position_of_its_first_message():
    first, second = lone(b"1"), lone(b"2")
    (placed,) = take(first, second).placed
    row = Row(100, 2, "app", 60, NOW)
    assert placed.stored(row) == [(first, 100), (second, 101)]


def test_producer_rows_name_the_place_of_their_message_in_the_block():
    (placed,) = take(lone(b"1"), lone(b"2", producer=b"me", seq=7)).placed
    (row,) = placed.block.producers
    assert (row.producer, row.seq, row.offset) == (b"me", 7, 1)


def test_a_block_takes_no_more_messages_than_allowed():
    group = take(*[lone(b"%d" % n) for n in range(5)], max_messages=2)
    assert [bodies(one) for one in group.placed] == [[b"0", b"1"], [b"2", b"3"], [b"4"]]


def test_a_block_takes_no_more_bytes_than_allowed():
    group = take(lone(b"a" * 500), lone(b"b" * 500), lone(b"c" * 10), max_bytes=1000)
    assert [len(bodies(one)) for one in group.placed] == [1, 2]


def test_messages_whose_times_lie_too_far_apart_get_blocks_of_their_own():
    group = take(lone(b"old", timestamp_us=1), lone(b"new", timestamp_us=NOW))
    stamps = [[item.timestamp_us for item in blocks.split(one.body)] for one in group.placed]
    assert stamps == [[1], [NOW]]


def test_a_group_is_taken_once():
    appends = Appends(1000, 10)
    appends.add(lone(b"1"))
    assert appends
    appends.take(NOW)
    assert not appends
    assert appends.size == 0
