"""What every store promises of its map of delivery state."""

from __future__ import annotations

import pytest

from laybyd.core import effects as fx
from laybyd.core.types import DEFERRED, GroupRecord, Parked, Piece
from laybyd.store import records
from laybyd.store.base import Erase, Full
from tests.contract.conftest import Owned

ALL = (b"a", b"{")


def everything(owned: Owned) -> dict[bytes, bytes]:
    return dict(owned.store.read_state(*ALL, 1_000))


def test_puts_apply_in_order(owned: Owned) -> None:
    owned.put((b"a", b"1"), (b"b", b""), (b"a", b"2"), (b"c", b"3"), (b"c", None), (b"d", None))
    assert everything(owned) == {b"a": b"2", b"b": b""}
    owned.restart()
    assert everything(owned) == {b"a": b"2", b"b": b""}


def test_a_range_goes_at_its_place_among_the_puts(owned: Owned) -> None:
    owned.put(*((b"k%d" % at, b"old") for at in range(10)))
    owned.put((b"k35", b"gone"), Erase(b"k3", b"k7"), (b"k5", b"new"), Erase(b"x", b"z"))
    left = {b"k0": b"old", b"k1": b"old", b"k2": b"old", b"k5": b"new"}
    left |= {b"k7": b"old", b"k8": b"old", b"k9": b"old"}
    assert everything(owned) == left


def test_a_scan_is_in_key_order_and_bounded(owned: Owned) -> None:
    owned.put(*((bytes((97 + at % 5, at)), b"%d" % at) for at in range(100)))
    keys = sorted(bytes((97 + at % 5, at)) for at in range(100))
    found = owned.store.read_state(b"b", b"d", 1_000)
    assert [key for key, _ in found] == [key for key in keys if b"b" <= key < b"d"]
    assert owned.store.read_state(b"b", b"d", 7) == found[:7]
    assert owned.store.read_state(found[3][0] + b"\0", b"d", 2) == found[4:6]
    assert owned.store.read_state(b"y", b"z", 5) == []


def test_a_store_of_its_own_shows_no_keys(owned: Owned) -> None:
    assert owned.store.read_state(b"\0", b"\xff", 10) == []


def fill(owned: Owned, said: list[tuple[bool, ...]]) -> None:
    """Until it is refused; with what the store says after each commit."""
    for at in range(100):
        owned.put((b"body%d" % at, bytes(1 << 20)))
        said.append(owned.store.room()[3:5])


def test_large_commits_are_refused_when_full_and_small_ones_never(owned: Owned) -> None:
    """Long before that it says that it is full, and that it is spent."""
    said: list[tuple[bool, ...]] = []
    with pytest.raises(Full):
        fill(owned, said)
    assert said[0] == (False, False)
    assert said[-16:] == [(True, True)] * 16
    before = everything(owned).keys()
    for at in range(200):
        owned.put((b"settled%d" % at, bytes(500)))
    owned.put(*((key, None) for key in before))
    assert owned.store.room()[3:5] == (False, False)
    owned.put((b"body", bytes(100_000)))


def test_the_clock_never_starts_before_what_was_parked(owned: Owned) -> None:
    record = Parked(1, 1, 1, "app", 1, due_us=90_000, delay_us=10_000, size=1, block=1)
    owned.push(1)
    owned.put(*records.encode([fx.Park(DEFERRED, record)], lambda park: None))
    owned.restart()
    assert owned.store.facts().last_us == 80_000


def test_deltas_are_folded_between_boots(owned: Owned) -> None:
    owned.push(100, messages=100)
    group = GroupRecord(1, "group", ("app",), 1, 5)
    owned.put(
        *records.encode(
            [
                fx.SaveGroup(group),
                fx.Snapshot(1, 0, 11, ((15, 20),)),
                fx.Delta(1, 1, ((21, 30), (50, 60))),
                fx.Delta(1, 2, ((11, 12),)),
            ],
            lambda park: None,
        )
    )
    for _ in range(2):
        (state,) = records.load_groups(owned.store)
        assert state.floor == 11
        assert state.done == ((11, 12), (15, 30), (50, 60))
        owned.restart()
    owned.put(*records.encode([fx.Delta(1, 1, ((13, 14),))], lambda park: None))
    owned.restart()
    (state,) = records.load_groups(owned.store)
    assert state.done == ((11, 30), (50, 60))


def test_a_dropped_group_leaves_nothing_but_its_number(owned: Owned) -> None:
    owned.push(1)
    record = Parked(1, 1, 1, "app", 1, 90_000, 10_000, 1, 1)
    ops = [
        fx.SaveGroup(GroupRecord(1, "one", ("app",), 1, 5)),
        fx.SaveGroup(GroupRecord(2, "two", ("app",), 1, 5)),
        fx.Park(DEFERRED, record, (Piece(1, 1, 1),)),
        fx.Delta(1, 1, ((1, 1),)),
        fx.Account(1, 1, 1, 0, 0),
    ]
    owned.put(*records.encode(ops, lambda park: b"body"))
    assert records.parked_body(owned.store, 1, 1) == b"body"
    owned.put(*records.encode([fx.DropGroup(2), fx.DropGroup(1)], lambda park: None))
    assert records.load_groups(owned.store) == []
    assert records.find_parked(owned.store, 1, DEFERRED, (), 0, 10) == ([], False)
    assert records.load_due(owned.store, 1, (0, 0), 10) == ([], False)
    assert records.load_next_gid(owned.store) == 3
    assert len(everything(owned)) == 3
