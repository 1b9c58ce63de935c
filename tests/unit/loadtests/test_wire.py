"""The load tests' own reading of the protocol, held against the vectors."""

from __future__ import annotations

import pytest

from loadtests import wire


def test_a_block_comes_apart_as_it_was_made():
    lines = [b"one", b"", b"three" * 100]
    assert wire.bodies(wire.block(lines)) == lines


def test_a_flipped_bit_is_seen():
    block = bytearray(wire.block([b"one"]))
    block[-1] ^= 1
    with pytest.raises(ValueError, match="CRC"):
        wire.bodies(bytes(block))


def test_ranges_are_pairs_of_positions_the_second_included():
    assert list(wire.positions([1, 3, 7, 7])) == [1, 2, 3, 7]


def test_deliveries_join_what_the_map_says_with_what_the_blocks_hold():
    lease = {"topic": "t", "lease": b"L", "grant": 4, "lane": "live", "ranges": [5, 6]}
    answer = wire.Answer({"boot": 2, "leases": [lease]}, [wire.block([b"a", b"b"])])
    assert wire.deliveries(answer) == [
        wire.Delivery(5, b"a", "t", b"L", 2, 4, "live", 1, 0),
        wire.Delivery(6, b"b", "t", b"L", 2, 4, "live", 1, 0),
    ]


def test_deliveries_take_attempts_and_deliveries_where_they_are_told():
    lease = {"topic": "t", "lease": b"L", "grant": 4, "lane": "deferred", "ranges": [9, 9, 5, 5]}
    lease |= {"attempts": [0, 2], "deliveries": [1, 3]}
    answer = wire.Answer({"boot": 2, "leases": [lease]}, [wire.block([b"a", b"b"])])
    found = [(d.position, d.attempts, d.deliveries) for d in wire.deliveries(answer)]
    assert found == [(9, 0, 1), (5, 2, 3)]
