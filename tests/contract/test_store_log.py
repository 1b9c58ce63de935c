"""What every store promises of its log."""

from __future__ import annotations

import threading

import pytest

from laybyd.core.types import Row
from laybyd.store.base import Fenced, Full, NewBlock, Unavailable
from tests.contract.conftest import SIZE, Owned, a_body, a_push


def test_an_empty_log_begins_and_ends_at_one(owned: Owned) -> None:
    facts = owned.store.facts()
    assert (facts.start, facts.end) == (1, 1)
    assert owned.store.rows(1, 10) == ([], 1)
    assert owned.store.find_time(0) == 1
    assert owned.store.topics() == owned.store.producers() == []
    with pytest.raises(KeyError):
        owned.store.read(1)


def test_positions_are_dense_over_all_topics(owned: Owned) -> None:
    rows = owned.append(
        NewBlock("a", 3, b"one"), NewBlock("b", 1, memoryview(b"two!")), NewBlock("a", 2, b"three")
    )
    assert rows == (
        Row(1, 3, "a", 3, owned.now_us),
        Row(4, 1, "b", 4, owned.now_us),
        Row(5, 2, "a", 5, owned.now_us),
    )
    assert owned.push(9) == [7]
    assert owned.store.facts().end == 8


def test_appending_nothing_takes_no_position(owned: Owned) -> None:
    assert owned.append() == ()
    assert owned.push(1) == [1]


def test_a_block_is_read_at_each_of_its_positions(owned: Owned) -> None:
    owned.append(NewBlock("a", 3, b"one"), NewBlock("b", 2, b"two"))
    for position, body in ((1, b"one"), (3, b"one"), (4, b"two"), (5, b"two")):
        row, found = owned.store.read(position)
        assert found == body
        assert row.first <= position <= row.last
    for outside in (0, 6):
        with pytest.raises(KeyError):
            owned.store.read(outside)


@pytest.mark.parametrize("size", [1, 2_000, 4_080, 4_096, 65_520, 65_536, 2 << 20])
def test_bodies_of_any_size_come_back(owned: Owned, size: int) -> None:
    owned.push(10, size, 10)
    assert owned.store.read(2)[1] == a_body(size)


def test_rows_are_listed_from_the_block_that_holds_the_position(owned: Owned) -> None:
    for _ in range(5):
        owned.push(10, 20, messages=4)
    rows = owned.all_rows()
    assert [row.first for row in rows] == list(range(1, 41, 4))
    assert [row.size for row in rows] == [10, 20] * 5
    some, upto = owned.store.rows(7, 3)
    assert some[0].first == 5
    assert some == rows[1 : 1 + len(some)]
    assert upto == some[-1].last + 1
    assert owned.store.rows(41, 3) == ([], 41)
    assert owned.store.rows(99, 3) == ([], 41)


def test_append_time_never_goes_backward(owned: Owned) -> None:
    owned.store.append(owned.fence, [NewBlock("a", 1, b"x")], 5_000)
    rows = owned.store.append(owned.fence, [NewBlock("a", 1, b"x")], 4_000).rows
    assert rows[0].at_us == 5_000
    owned.restart()
    assert owned.store.facts().last_us == 5_000
    rows = owned.store.append(owned.fence, [NewBlock("a", 1, b"x")], 1).rows
    assert rows[0].at_us == 5_000


def test_a_time_finds_the_first_position_at_or_after_it(owned: Owned) -> None:
    for at_us in (100, 200, 200, 300):
        owned.store.append(owned.fence, [NewBlock("a", 5, b"x"), NewBlock("b", 5, b"y")], at_us)
    found = [owned.store.find_time(at) for at in (0, 100, 101, 200, 201, 300, 301)]
    assert found == [1, 1, 11, 11, 31, 31, 41]


def test_topics_are_summed_up(owned: Owned) -> None:
    owned.append(NewBlock("a", 3, b"one"), NewBlock("b", 1, b"four"))
    first_us = owned.now_us
    owned.append(NewBlock("a", 2, b"three"))
    one, two = owned.store.topics()
    assert one == ("a", 1, 6, 5, 8, owned.now_us)
    assert two == ("b", 4, 4, 1, 4, first_us)


def test_all_is_still_there_after_a_restart(owned: Owned) -> None:
    for at in range(30):
        owned.push(100, 5_000, topic=f"topic-{at % 7}", messages=3)
    before = (owned.all_rows(), owned.store.topics(), owned.store.facts().end)
    owned.restart()
    assert (owned.all_rows(), owned.store.topics(), owned.store.facts().end) == before
    assert owned.store.read(4)[1] == a_body(5_000)
    assert owned.push(1) == [181]


def test_boots_are_counted_and_the_store_keeps_its_name(owned: Owned) -> None:
    first = owned.fence
    owned.restart()
    assert owned.fence == first._replace(boot=first.boot + 1)
    assert first.boot == 1
    assert first.epoch == 1
    assert len(first.store_id) == 16


def test_an_older_owner_is_fenced_off(owned: Owned) -> None:
    old = owned.fence
    owned.fence = owned.store.acquire()
    with pytest.raises(Fenced):
        owned.store.append(old, [NewBlock("a", 1, b"x")], 1)
    with pytest.raises(Fenced):
        owned.store.trim(old, 1)
    with pytest.raises(Fenced):
        owned.store.commit_state(old, [(b"k", b"v")])
    assert owned.push(1) == [1]


def test_a_closed_store_takes_nothing(owned: Owned) -> None:
    owned.store.close()
    with pytest.raises(Unavailable):
        owned.push(1)
    owned.store.close()


def fill(owned: Owned, size: int = 60_000) -> int:
    """Push until the log takes no more; how many blocks it took."""
    for taken in range(10_000):
        try:
            owned.push(size)
        except Full:
            return taken
    raise AssertionError("it never gets full")


def test_a_full_log_refuses_and_keeps_what_it_has(owned: Owned) -> None:
    taken = fill(owned)
    assert owned.store.room().log_full
    assert taken * 60_000 < SIZE
    assert len(owned.all_rows()) == taken
    assert owned.store.read(taken)[1] == a_body(60_000)
    with pytest.raises(Full):
        owned.push(60_000)
    owned.put((b"settled", b"yes"))
    owned.restart()
    assert len(owned.all_rows()) == taken


def test_the_mark_for_full_leaves_room(owned: Owned) -> None:
    while not owned.store.room().log_full:
        owned.push(60_000)
    owned.push(60_000)


def test_trimming_makes_room_again(owned: Owned) -> None:
    for _ in range(3):
        fill(owned)
        end = owned.store.facts().end
        used = owned.store.room().used
        start = owned.trim(end)
        assert start == owned.store.facts().start <= end
        assert owned.store.room().used < used
        assert not owned.store.room().log_full
        assert [row.first for row in owned.all_rows()] == list(range(start, end))


def test_trimming_frees_nothing_that_is_needed(owned: Owned) -> None:
    taken = fill(owned)
    below = taken // 2
    start = owned.trim(below)
    assert 1 < start <= below
    assert owned.store.read(below)[1] == a_body(60_000)
    with pytest.raises(KeyError):
        owned.store.read(start - 1)
    rows, _ = owned.store.rows(1, 5)
    assert rows[0].first == start
    (topic,) = owned.store.topics()
    assert (topic.first, topic.last, topic.messages) == (start, taken, taken - start + 1)
    owned.restart()
    assert owned.store.facts().start == start
    assert owned.trim(1) == start
    assert owned.push(5) == [taken + 1]


def test_rows_from_before_the_start_begin_where_the_log_does(owned: Owned) -> None:
    """Also where nothing is left."""
    owned.push(10)
    end = owned.store.facts().end
    start = owned.trim(end)
    rows, upto = owned.store.rows(1, 5)
    assert [row.first for row in rows] == list(range(start, end))
    assert upto == end


def test_a_topic_that_is_trimmed_away_is_gone(owned: Owned) -> None:
    owned.push(10, topic="old")
    while owned.trim(owned.store.facts().end) <= 1:
        owned.push(60_000)
    assert [topic.name for topic in owned.store.topics()] in ([], ["app"])


def test_producers_are_remembered(owned: Owned) -> None:
    owned.append(a_push(1), a_push(1, b"other"))
    owned.append(a_push(2), a_push(3))
    for _ in range(2):
        other, one = owned.store.producers()
        assert (other.producer, other.last_seq) == (b"other", 1)
        assert (one.producer, one.last_seq, one.last_us) == (b"producer-1", 3, owned.now_us)
        assert one.recent == ((1, 1, 7), (2, 3, 14), (3, 4, 21))
        owned.restart()


def test_producers_outlive_the_blocks_they_pushed(owned: Owned) -> None:
    seq = 0
    while owned.store.facts().start < 20:
        for _ in range(4):
            seq += 1
            owned.append(a_push(seq, size=60_000), a_push(seq, b"second"))
        owned.trim(owned.store.facts().end)
    for _ in range(2):
        one, second = sorted(owned.store.producers())
        assert (one.last_seq, second.last_seq) == (seq, seq)
        assert [row[0] for row in one.recent] == list(range(1, seq + 1))
        assert [row[1] for row in second.recent] == list(range(2, 2 * seq + 1, 2))
        owned.restart()


def test_reads_go_on_while_blocks_come_and_go(owned: Owned) -> None:
    """A reader sees whole blocks or none, whatever the writer does meanwhile."""
    stop, seen, wrong, right = threading.Event(), [0], [], a_body(30_000)

    def look() -> None:
        while not stop.is_set():
            rows, _ = owned.store.rows(owned.store.facts().start, 20)
            for row in rows:
                try:
                    found, body = owned.store.read(row.first)
                except KeyError:
                    continue
                if found != row or body != right:
                    wrong.append(row)
                seen[0] += 1

    readers = [threading.Thread(target=look) for _ in range(2)]
    for reader in readers:
        reader.start()
    for _ in range(100):
        first = owned.push(30_000)[0]
        owned.trim(first - 20)
    stop.set()
    for reader in readers:
        reader.join()
    assert seen[0] > 0
    assert wrong == []
