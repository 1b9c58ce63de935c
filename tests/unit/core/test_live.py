"""The live lane: order, shares, sizes, packing, and a window that stays bounded."""

import pytest

from laybyd.core import effects as fx
from laybyd.core import events as ev
from laybyd.core.types import Outcome, Piece
from tests.builders import (
    MS,
    SECOND,
    Table,
    a_caller,
    a_verdict,
    delivered,
    positions,
    settings,
)


def test_first_grants_rise_in_position_with_the_grant_number_over_all_topics():
    table = Table()
    for topic in ("app.a", "app.b", "app.a", "app.b"):
        table.push(topic, 2, size=100_000)
    (answer,) = table.poll(topics=("app.*",), credit=7)
    (second,) = table.poll(credit=7, topics=None)
    grants = [*answer.leases, *second.leases]
    assert [one.number for one in grants] == [1, 2, 3, 4, 5]
    assert [positions(one) for one in grants] == [[1, 2], [3, 4], [5, 6], [7], [8]]
    assert [one.topic for one in grants] == ["app.a", "app.b", "app.a", "app.b", "app.b"]


def test_a_block_may_be_cut_into_several_leases():
    table = Table()
    table.push("app", 10)
    assert positions(table.lease("one", credit=3)) == [1, 2, 3]
    grant = table.lease("two", credit=4)
    assert grant.pieces == (Piece(4, 7, 1),)


def test_small_neighbours_of_one_topic_are_packed_into_one_lease():
    table = Table()
    for topic in ("app.a", "app.a", "web", "app.a", "app.b", "app.a"):
        table.push(topic)
    (answer,) = table.poll(topics=("app.*",))
    assert [positions(one) for one in answer.leases] == [[1, 2, 4], [5], [6]]


def test_a_large_block_is_a_lease_of_its_own():
    table = Table()
    for size in (1_000, 60_000, 1_000):
        table.push("app", 1, size=size)
    (answer,) = table.poll()
    assert [positions(one) for one in answer.leases] == [[1], [2], [3]]


def test_an_answer_holds_no_more_leases_than_allowed():
    table = Table(settings(answer_leases_max=3))
    for _ in range(5):
        table.push("app", 1, size=60_000)
    (answer,) = table.poll()
    assert len(answer.leases) == 3


def test_bytes_bound_an_answer_but_one_message_always_comes():
    table = Table()
    table.push("app", 4, size=4_000)
    assert positions(table.lease(credit_bytes=2_500)) == [1, 2]
    assert positions(table.lease(credit_bytes=1)) == [3]


def test_work_goes_to_idle_handlers_first_latest_poll_first():
    table = Table()
    table.poll("ahead", idle=0)
    table.poll("early")
    table.poll("late")
    for expected in ("late", "early", "ahead"):
        table.push("app")
        assert table.sent[-1].caller.peer == expected.encode()


def test_each_gets_at_most_its_fair_share():
    table = Table()
    table.poll("one", handlers=1, idle=1)
    table.poll("three", handlers=3, idle=3)
    table.push("app", 8)
    shares = {one.caller.peer: len(delivered([one])) for one in table.sent}
    assert shares == {b"three": 6, b"one": 2}


def test_a_lease_is_sized_to_last_a_slice_by_the_measured_handling_time():
    table = Table(settings({"live_slice_us": 50 * MS}))
    table.push("app", 200)
    grant = table.lease(credit=10)
    table.wait(100 * MS)  # ten messages took 100 ms: 10 ms each
    (answer,) = table.poll(credit=100, verdicts=(a_verdict(grant),))
    assert len(delivered([answer])) == 5


def test_where_the_way_takes_longer_than_a_slice_a_quarter_of_a_slice_is_work():
    """All that a far consumer is given takes 200 ms; it knows how much of it is work."""
    table = Table(settings({"live_slice_us": 50 * MS}))
    table.push("app", 500)
    for told, count in ((None, 1), (20 * MS, 1), (10 * MS, 1), (3 * MS, 4), (80 * MS, 1)):
        grant = table.lease(credit=1)
        table.wait(200 * MS)
        (answer,) = table.poll(credit=100, live_us=told, verdicts=(a_verdict(grant),))
        assert len(delivered([answer])) == count, told
        (given,) = answer.leases
        table.settle(given)


def test_what_a_consumer_tells_is_believed_as_far_as_the_way_may_be():
    """It hands messages on, tells 8 us, and each takes 12.5 ms until its outcome comes."""
    table = Table(settings({"live_slice_us": 50 * MS}))
    table.push("app", 2_000)
    grant = table.lease(credit=1)
    table.wait(12_500)
    (answer,) = table.poll(credit=4_000, live_us=8, verdicts=(a_verdict(grant),))
    assert len(delivered([answer])) == 64, "16 slices of four"


def test_what_came_back_goes_first_in_position_order():
    table = Table()
    table.push("app", 6)
    grant = table.lease("one", credit=4)
    table.settle(grant, (1, 1), (3, 4), outcome=Outcome.RELEASE, started=False)
    (answer,) = table.poll("two")
    assert [positions(one) for one in answer.leases] == [[1, 3, 4], [5, 6]]
    assert [one.deliveries for one in answer.leases] == [(2, 2, 2), ()]


def test_what_a_session_gave_back_three_times_goes_to_another_that_waits():
    table = Table()
    table.push("app", 1)
    for _ in range(3):
        grant = table.lease("one")
        table.settle(grant, outcome=Outcome.RELEASE, started=False)
    table.poll("ahead", idle=0)
    assert table.sent[-1].caller.peer == b"ahead"


def test_whoever_gave_it_back_does_not_take_the_last_room_before_others_who_wait():
    table = Table(settings({"max_out": 1}))
    table.push("app", 3)
    held = table.lease("three", credit=1)
    for _ in range(3):
        table.settle(held, outcome=Outcome.RELEASE, started=False)
        held = table.lease("one", credit=1)
    table.settle(held, outcome=Outcome.RELEASE, started=False)
    assert positions(table.lease("two", credit=1)) == [1]
    table.poll("two", credit=1)
    table.poll("one", credit=1)
    (lost,) = table.step(ev.Undelivered(a_caller("two"), "g", (table.last_lease("two").lease,)))
    assert (lost.caller.peer, delivered([lost])) == (b"two", [1])


def test_what_a_session_gave_back_three_times_comes_again_when_nobody_else_waits():
    table = Table()
    table.push("app", 1)
    for _ in range(4):
        grant = table.lease("one")
        table.settle(grant, outcome=Outcome.RELEASE, started=False)
    assert positions(table.lease("one")) == [1]


def test_a_started_message_released_five_times_is_deferred_counted():
    table = Table()
    table.push("app", 2)
    for _ in range(5):
        grant = table.lease("one", credit=1)
        assert positions(grant) == [1]
        table.settle(grant, outcome=Outcome.RELEASE, started=True)
    record = table.record(1)
    assert (record.attempts, record.history[-1].reason) == (1, "released")
    assert positions(table.lease("one", credit=1)) == [2]


def test_a_group_that_is_behind_keeps_a_bounded_window():
    table = Table(settings(window_rows=4))
    table.poll("maker", wait_ms=0)
    for _ in range(50):
        table.push("app")
    live = table.broker._groups.get("g").parts.live
    assert len(live.window) <= 5
    seen = []
    while grants := [one for one in table.poll(credit=3) if isinstance(one, fx.Deliver)]:
        if not grants[0].leases:
            break
        seen += delivered(grants)
        assert len(live.window) <= 8
        table.wait(1)
        if len(seen) == 50:
            break
    assert seen == list(range(1, 51))


def test_rows_nobody_wants_do_not_fill_the_window_and_the_floor_moves_over_them():
    table = Table(settings(window_rows=4))
    table.poll(topics=("app",))
    for _ in range(20):
        table.push("web", 2)
    table.wait(2 * SECOND)
    assert table.group()["floor"] == 41
    assert table.state.load()[0].floor == 41
    table.push("app")
    assert delivered(table.sent) == [41]


def test_what_was_trimmed_away_is_skipped():
    table = Table()
    table.push("app", 5)
    table.push("app", 5)
    table.rows.pop(0)
    table.log_start = 6
    table.poll()
    assert delivered(table.sent) == [6, 7, 8, 9, 10]
    assert table.group()["floor"] == 6


def test_positions_settled_before_a_restart_are_not_handed_out_again():
    table = Table()
    table.push("app", 6)
    grant = table.lease()
    table.settle(grant, (2, 3), (5, 5))
    table.restart()
    table.wait(SECOND)
    assert delivered(table.poll("two")) == [1, 4, 6]


@pytest.mark.parametrize("held", [False, True])
def test_rows_that_arrive_while_others_are_read_are_not_lost(held):
    table = Table(settings(window_rows=4))
    for _ in range(10):
        table.push("app")
    table.hold = {fx.LoadRows} if held else set()
    table.poll(credit=2)
    table.push("app")
    table.hold = set()
    table.release()
    seen = delivered(table.sent)
    while len(seen) < 11:
        seen += delivered(table.poll(credit=2))
    assert seen == list(range(1, 12))


def test_what_one_session_shall_not_have_again_goes_to_whoever_waits_behind_it():
    table = Table()
    table.push("app", 1)
    for _ in range(2):
        table.settle(table.lease("one"), outcome=Outcome.RELEASE, started=False)
    grant = table.lease("one")
    table.poll("other", idle=0)
    table.poll("one")
    table.settle(grant, outcome=Outcome.RELEASE, started=False)
    assert positions(table.last_lease("other")) == [1]
