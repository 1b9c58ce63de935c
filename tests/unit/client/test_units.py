from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest

from layby import _fork, _given, _hello, _units
from layby.errors import Forked, TooLarge


def test_data_is_bytes_or_text():
    assert _units.as_bytes("ä") == "ä".encode()
    assert _units.as_bytes(bytearray(b"a")) == b"a"
    assert _units.as_bytes(memoryview(b"ab")[1:]) == b"b"
    with pytest.raises(TypeError):
        _units.as_bytes(1)
    with pytest.raises(ValueError, match="hand in bytes"):
        _units.as_bytes("caf\udce9")


def test_lengths_of_time():
    assert _units.as_seconds(timedelta(minutes=2)) == 120.0
    assert _units.as_seconds(3) == 3.0
    assert _units.as_deadline(None, 5.0) == math.inf
    assert _units.as_deadline(2, 5.0) == 7.0


def test_points_in_time():
    assert _units.as_time_us(1_700_000_000.000001) == 1_700_000_000_000_001
    assert _units.as_time_us(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)) == 1_000_000
    with pytest.raises(ValueError, match="zone"):
        _units.as_time_us(datetime(1970, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize("time", [-1.0, math.inf, math.nan, 2.0**53 / 1e6, -1])
def test_what_is_no_time_of_ours(time):
    with pytest.raises(ValueError, match="not a time"):
        _units.as_time_us(time)


def test_where_to_start():
    assert _units.as_start("latest") == "latest"
    assert _units.as_start(42) == 42
    assert _units.as_start(datetime(1960, 1, 1, tzinfo=UTC)) == {"time_us": 0}
    assert _units.as_start(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)) == {"time_us": 1_000_000}
    with pytest.raises(ValueError, match="earliest"):
        _units.as_start("yesterday")


def test_a_push_names_only_what_it_has():
    assert _given.message_fields(b"a", None, None, None) == {"data": b"a"}
    assert _given.message_fields(b"a", "k", {"h": "1"}, 2.0) == {
        "data": b"a", "key": b"k", "headers": {"h": "1"}, "timestamp_us": 2_000_000,
    }  # fmt: skip


def test_a_time_of_nothing_leaves_it_to_the_broker():
    assert _given.message_fields(b"a", None, None, 0.0) == {"data": b"a"}


def test_limits_of_hello_and_what_it_leaves_out():
    limits = _hello.as_limits({"max_message": 5, "pushes_in_flight": 7, "credit_bytes": 9})
    assert (limits.max_message, limits.pushes, limits.bytes) == (5, 7, 9)
    assert limits.max_block == 2 << 20
    with pytest.raises(TooLarge):
        _hello.check_size(b"123456", limits)


def test_the_default_name_is_a_legal_name():
    name = _hello.default_name()
    assert all(c.isascii() and (c.isalnum() or c in "-_.") for c in name)
    assert 1 <= len(name) <= 200


def test_a_fork_is_noticed():
    _fork.check(_fork.generation)
    with pytest.raises(Forked):
        _fork.check(_fork.generation - 1)
