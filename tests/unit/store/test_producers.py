"""What the log remembers of producers."""

from __future__ import annotations

from laybyd.store.producers import Kept, ProducerTable

P = b"producer"


def noted(*seqs: int, kept: Kept | None = None) -> ProducerTable:
    table = ProducerTable(kept)
    for seq in seqs:
        table.note(P, seq, 100 + seq, seq, at_us=1)
    return table


def test_pushes_come_back_by_their_numbers_whatever_the_order_of_topics_in_a_commit():
    (state,) = noted(2, 4, 1, 3, 5).states(now_us=1)
    assert state.last_seq == 5
    assert state.recent == tuple((seq, 100 + seq, seq) for seq in (1, 2, 3, 4, 5))


def test_the_last_push_is_the_highest_also_when_another_topic_was_stored_behind_it():
    (state,) = noted(1, 4, 2, 3).states(now_us=1)
    assert (state.last_seq, state.recent[-1][0]) == (4, 4)


def test_what_is_cut_off_are_the_lowest():
    (state,) = noted(3, 4, 1, 2, kept=Kept(rows=2)).states(now_us=1)
    assert [seq for seq, _, _ in state.recent] == [3, 4]


def test_what_was_folded_and_what_came_since_follow_each_other():
    table = noted(2, 1)
    folded = table.fold()
    table.note(P, 4, 104, 4, at_us=2)
    table.note(P, 3, 103, 3, at_us=2)
    (state,) = table.states(now_us=2)
    assert [seq for seq, _, _ in state.recent] == [1, 2, 3, 4]
    loaded = ProducerTable()
    loaded.load(folded)
    loaded.load(table.fold())
    assert loaded.states(now_us=2) == table.states(now_us=2)
