"""Too slow: leases that end, progress that keeps them, messages that take too long."""

import pytest

from laybyd.core import events as ev
from laybyd.core.types import Outcome
from tests.builders import MS, SECOND, Table, a_caller, delivered, positions, settings

QUICK = {"lease_us": 10 * SECOND, "max_handling_us": 15 * SECOND, "backoff_us": (60 * SECOND,)}


def a_table(**fields) -> Table:
    table = Table(settings(QUICK | fields))
    table.push("app", 8)
    return table


def test_a_lease_lasts_as_long_as_it_says():
    table = a_table()
    grant = table.lease()
    table.wait(9_999 * MS)
    assert table.group()["out"] == 8
    table.wait(1 * MS)
    assert table.group()["out"] == 0
    assert grant.lease_ms == 10_000


def test_what_was_settled_stays_settled_when_the_lease_ends():
    table = a_table()
    table.settle(table.lease(), (1, 6))
    table.wait(10 * SECOND)
    assert table.parked() == [(7, 7), (8, 8)]


def test_without_progress_the_unsettled_rest_is_deferred_in_halves_uncounted():
    table = a_table()
    table.lease()
    table.wait(10 * SECOND)
    assert table.parked() == [(1, 4), (5, 8)]
    record = table.record(1)
    assert (record.attempts, record.alone, record.due_us) == (0, True, record.history[0].at_us)
    assert record.history[0].reason == "lease expired"


def test_without_progress_a_lone_message_is_counted():
    table = a_table()
    table.lease(credit=1)
    table.wait(10 * SECOND)
    assert table.record(1).attempts == 1


def test_one_message_named_as_worked_on_is_counted_and_the_rest_goes_to_the_front():
    table = a_table()
    table.lease("one")
    table.extend("one", [(3, 3, 100)])
    table.wait(10 * SECOND)
    assert table.parked() == [(3, 3)]
    record = table.record(3)
    assert (record.attempts, record.history[0].consumer) == (1, "one")
    assert delivered(table.poll("two")) == [1, 2, 4, 5, 6, 7, 8]


def test_several_messages_named_are_suspects_uncounted():
    table = a_table()
    table.lease("one")
    table.extend("one", [(2, 2, 0), (5, 5, 0), (7, 7, 0)])
    table.wait(10 * SECOND)
    assert table.parked() == [(2, 2), (5, 5), (7, 7)]
    assert {table.record(at).attempts for at in (2, 5, 7)} == {0}
    assert delivered(table.poll("two")) == [1, 3, 4, 6, 8]


@pytest.mark.parametrize("end", ["silence", "goodbye"])
def test_messages_of_several_leases_named_together_are_suspects(end):
    table = a_table()
    for _ in range(3):
        table.lease("one", credit=2)
    table.extend("one", [(1, 1, 0), (3, 3, 0), (6, 6, 0)])
    if end == "silence":
        table.wait(10 * SECOND)
    else:
        table.step_goodbye("one")
    assert table.parked() == [(1, 1), (3, 3), (6, 6)]
    records = [table.record(at) for at in (1, 3, 6)]
    assert [(one.attempts, one.alone) for one in records] == [(0, True)] * 3


def test_of_leases_that_end_together_the_one_with_a_named_message_tells_the_culprit():
    table = a_table()
    for _ in range(3):
        table.lease("one", credit=2)
    table.extend("one", [(3, 3, 0)])
    table.wait(10 * SECOND)
    assert table.parked() == [(3, 3)]
    assert table.record(3).attempts == 1


def test_a_suspect_alone_in_its_lease_is_counted_whatever_else_its_session_holds():
    table = a_table()
    for _ in range(2):
        table.lease("one", credit=1)
    table.wait(10 * SECOND)
    assert [table.record(at).attempts for at in (1, 2)] == [0, 0]
    table.settle(table.lease("one", credit=6))
    table.poll("one", credit=1)
    table.wait(SECOND)
    assert table.last_lease("one").alone
    table.push("app", 2)
    table.poll("one", credit=1)
    assert table.last_lease("one").lane == "live"
    table.extend("one", [(1, 1, 0), (9, 9, 0)])
    table.wait(10 * SECOND)
    assert [table.record(at).attempts for at in (1, 9)] == [1, 0]


def test_a_range_named_of_which_one_is_left_is_a_suspect():
    table = a_table()
    grant = table.lease("one")
    table.settle(grant, (2, 4))
    for age_ms in (0, 8_000):
        table.extend("one", [(1, 4, age_ms)])
        table.wait(8 * SECOND)
    assert table.parked() == [(1, 1)]
    assert (table.record(1).attempts, table.record(1).alone) == (0, True)


def test_a_lease_of_the_halving_is_alone_in_its_answer():
    table = a_table()
    table.lease("one")
    table.wait(10 * SECOND)
    (answer,) = [one for one in table.poll("two") + table.wait(SECOND) if one.leases]
    assert len(answer.leases) == 1
    assert answer.leases[0].alone
    assert positions(answer.leases[0]) == [1, 2, 3, 4]


def test_of_suspects_no_more_is_handed_out_than_was_asked_for():
    table = a_table()
    table.lease("one")
    table.wait(10 * SECOND)
    table.poll("two", credit=3)
    table.wait(SECOND)
    grant = table.last_lease("two")
    assert (positions(grant), grant.alone) == ([1, 2, 3], True)
    assert table.parked() == [(1, 3), (4, 4), (5, 8)]
    assert table.settle(grant) == []
    assert table.parked() == [(4, 4), (5, 8)]


def test_several_deferred_messages_of_a_lease_that_ends_are_tried_alone():
    table = a_table(backoff_us=(1 * SECOND,), drain_slice_us=10 * SECOND)
    grant = table.lease("one")
    for at in (1, 2, 3):
        table.settle(grant, (at, at), outcome=Outcome.FAIL)
    table.settle(grant, (4, 8))
    table.poll("one")
    table.wait(2 * SECOND)
    first = table.last_lease("one")
    table.wait(1 * SECOND)
    table.settle(first)  # about a second for one: now there is a measured time
    table.poll("one")
    table.wait(2 * SECOND)
    both = table.last_lease("one")
    assert positions(both) == [2, 3]
    table.wait(10 * SECOND)
    assert [(table.record(at).attempts, table.record(at).alone) for at in (2, 3)] == [
        (1, True),
        (1, True),
    ]


def test_progress_keeps_all_leases_of_the_session():
    table = a_table()
    table.lease("one", credit=4)
    table.lease("one", credit=4)
    for _ in range(4):
        table.wait(8 * SECOND)
        table.extend("one", [(1, 1, 100)])
    assert table.group()["out"] == 8


def test_a_poll_alone_is_no_progress():
    table = a_table()
    table.lease("one", credit=1)
    table.wait(6 * SECOND)
    table.poll("one", credit=1)
    table.wait(6 * SECOND)
    assert table.parked() == [(1, 1)]


def test_a_message_that_takes_too_long_is_taken_from_its_lease_alone():
    table = a_table()
    grant = table.lease("one")
    table.extend("one", [(3, 3, 0), (4, 4, 0)])
    table.wait(8 * SECOND)
    table.extend("one", [(3, 3, 8_000), (5, 5, 100)])
    assert table.group()["deferred"] == 0
    table.wait(8 * SECOND)
    record = table.record(3)
    assert (record.attempts, record.history[0].reason) == (1, "handling took too long")
    assert table.group()["out"] == 7
    assert table.settle(grant, (1, 2), (4, 8)) == []


def test_a_range_that_takes_too_long_is_split_uncounted():
    table = a_table()
    table.lease("one")
    for age_ms in (0, 8_000):
        table.extend("one", [(1, 4, age_ms)])
        table.wait(8 * SECOND)
    assert table.parked() == [(1, 2), (3, 4)]
    assert table.record(1).attempts == 0


def test_no_handling_is_longer_than_the_lease_it_is_under():
    table = a_table()
    table.lease("one")
    table.restart()
    table.wait(SECOND)
    table.poll("one", n=1)
    table.extend("one", [(3, 3, 60_000)])
    assert table.group()["deferred"] == 0, "it was at it before this lease"
    table.wait(8 * SECOND)
    table.extend("one", [(3, 3, 68_000)])
    table.wait(8 * SECOND)
    assert table.record(3).attempts == 1


def test_only_the_applications_own_extend_moves_the_limit():
    table = a_table(max_hold_us=40 * SECOND)
    table.lease("one")
    table.extend("one", [(3, 3, 0)], [(3, 60_000)])
    for _ in range(5):
        table.wait(7 * SECOND)
        age_ms = 7_000 * (_ + 1)
        table.extend("one", [(3, 3, age_ms)])
    assert table.group()["deferred"] == 0, "held for 35 s"
    table.wait(5 * SECOND)
    assert table.record(3).attempts == 1, "no longer than max_hold"


def test_extend_tells_what_the_session_does_not_hold():
    table = a_table()
    grant = table.lease("one", credit=4)
    table.settle(grant, (1, 1))
    (reply,) = table.extend("one", [(1, 2, 0), (6, 6, 0)])
    (lost,) = reply.fields["refused"]
    assert (lost.ranges, lost.code) == (((1, 1), (6, 6)), "lease_lost")
    (reply,) = table.extend("one", [(2, 2, 0)])
    assert reply.fields == {}
    (reply,) = table.extend("nobody", [(2, 2, 0)])
    assert reply.fields["refused"][0].ranges == ((2, 2),)


def test_progress_may_ride_on_a_poll():
    from laybyd.core.types import Progress

    table = a_table()
    table.lease("one", credit=4)
    table.wait(6 * SECOND)
    table.poll("one", credit=4, progress=Progress(((1, 1, 100),), ()))
    table.wait(6 * SECOND)
    assert table.group()["out"] == 8


def test_goodbye_defers_what_is_worked_on_and_gives_back_the_rest():
    table = a_table()
    table.lease("one")
    table.extend("one", [(2, 2, 0)])
    table.step(ev.Goodbye(a_caller("one"), "g", b"one"))
    assert table.parked() == [(2, 2)]
    assert table.record(2).attempts == 1
    assert delivered(table.poll("two")) == [1, 3, 4, 5, 6, 7, 8]


def test_a_process_that_stood_still_ends_no_lease_for_that():
    table = a_table()
    table.lease("one")
    table.now += 60 * SECOND
    table.step(ev.Late(60 * SECOND))
    table.tick()
    assert table.group()["out"] == 8
    table.wait(10 * SECOND)
    assert table.group()["out"] == 0


@pytest.mark.parametrize("progress", [False, True])
def test_the_deferred_lane_expires_alike(progress):
    table = a_table(backoff_us=(1 * SECOND,))
    table.settle(table.lease("one"), (1, 4), outcome=Outcome.DEFER, delay_ms=0)
    table.settle(table.last_lease("one"), (5, 8))
    table.poll("one")
    table.wait(SECOND)
    assert positions(table.last_lease("one")) == [1, 2, 3, 4]
    if progress:
        table.extend("one", [(2, 2, 0)])
    table.wait(10 * SECOND)
    if progress:
        assert table.parked() == [(1, 1), (2, 2), (3, 4)]
        assert [table.record(at).attempts for at in (1, 2, 3)] == [0, 1, 0]
    else:
        assert table.parked() == [(1, 2), (3, 4)]


def test_a_lease_that_is_over_leaves_no_deadline_behind():
    table = a_table()
    for _ in range(4):
        table.settle(table.lease("one", credit=2))
        table.extend("one")
    timers = table.broker._groups.get("g").parts.timers
    assert [kind for kind, _ in timers._at if kind == "lease"] == []
