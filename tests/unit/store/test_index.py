"""The bytes of index entries."""

from __future__ import annotations

import pytest

from laybyd.core.types import Row, TopicState
from laybyd.store import index
from laybyd.store.base import Damaged, NewBlock, ProducerRow

BLOCKS = [
    NewBlock("new", 3, b"abc", (ProducerRow(b"p", 1, 0, 11), ProducerRow(bytes(16), 2, 2, 12))),
    NewBlock("old", 1, b"d"),
    NewBlock("newer", 65_536, b"efghi", (ProducerRow(b"", (1 << 53) - 1, 65_535, 0xFFFFFFFF),)),
    NewBlock("new", 1, b"j"),
]
NAMES = ["older", "old"]


def packed(first: int = 500) -> tuple[tuple[Row, ...], bytes, bytes]:
    rows = index.rows_of(BLOCKS, first, 1_234)
    key, entry = index.pack_commit(rows, BLOCKS, {name: i for i, name in enumerate(NAMES)})
    return rows, key, entry


def test_a_commit_comes_back() -> None:
    rows, key, entry = packed()
    assert index.first_of(key) == 500
    assert index.at_of(key, entry) == 1_234
    commit = index.unpack_commit(key, entry, NAMES)
    assert tuple(commit.rows) == rows
    assert commit.new_topics == ["new", "newer"]
    assert commit.pushes == [
        (b"p", 1, 500, 11),
        (bytes(16), 2, 502, 12),
        (b"", (1 << 53) - 1, 504 + 65_535, 0xFFFFFFFF),
    ]


def test_a_commit_reads_alike_once_later_topics_are_known() -> None:
    rows, key, entry = packed()
    later = [*NAMES, "new", "newer", "newest"]
    assert tuple(index.unpack_commit(key, entry, later).rows) == rows


def test_each_flipped_bit_is_noticed() -> None:
    _, key, entry = packed()
    for at in range(len(entry) * 8):
        flipped = bytearray(entry)
        flipped[at // 8] ^= 1 << at % 8
        with pytest.raises(Damaged):
            index.unpack_commit(key, bytes(flipped), NAMES)


def test_an_entry_under_another_key_is_noticed() -> None:
    _, _, entry = packed()
    with pytest.raises(Damaged, match="checksum"):
        index.unpack_commit(index.commit_key(501), entry, NAMES)


def test_an_entry_cut_short_is_noticed() -> None:
    _, key, entry = packed()
    for length in range(len(entry)):
        with pytest.raises(Damaged):
            index.unpack_commit(key, entry[:length], NAMES)


def test_the_other_entries_come_back() -> None:
    header = index.Header(bytes(16), 2, 77)
    assert index.unpack_header(index.pack_header(header)) == header
    opening = index.Opening(5, 6, b"producers")
    assert index.unpack_opening(index.pack_opening(opening)) == opening
    topics = (TopicState("a", 1, 2, 3, 4, 5), TopicState("b", 6, 7, 8, 9, 10))
    sums = index.Sums(11, 12, 13, topics, b"producers", 14)
    key = index.seal_key(9)
    assert index.unpack_sums(key, index.pack_sums(key, sums)) == sums
    with pytest.raises(Damaged):
        index.unpack_opening(index.pack_header(header))


def test_keys_are_in_the_order_of_the_log() -> None:
    keys = [index.HEADER_KEY, index.OPENING_KEY]
    for first in (1, 2, 255, 256, 1 << 52):
        keys += [index.commit_key(first), index.checkpoint_key(first), index.seal_key(first)]
    assert keys == sorted(keys)
