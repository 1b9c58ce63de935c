"""Answers that did not arrive as they were meant: unsent, damaged, too large for one block."""

from laybyd.core import effects as fx
from laybyd.core import events as ev
from laybyd.core.types import Outcome
from tests.builders import SECOND, Table, a_caller, delivered, positions, settings


def damaged(answer: fx.Effect, first: int, last: int) -> ev.Unmade:
    assert isinstance(answer, fx.Deliver)
    return ev.Unmade(answer, (first, last))


def undelivered(table: Table, grant: fx.Grant) -> list[fx.Effect]:
    return table.step(ev.Undelivered(a_caller("one"), "g", (grant.lease,)))


def test_a_grant_that_could_not_be_sent_is_undone_uncounted():
    table = Table()
    table.push("app", 3)
    grant = table.lease("one")
    undelivered(table, grant)
    assert table.group()["out"] == 0
    again = table.lease("two")
    assert (positions(again), again.deliveries, again.attempts) == ([1, 2, 3], (2, 2, 2), ())


def test_the_same_poll_may_come_again_over_another_connection():
    table = Table()
    table.push("app", 3)
    grant = table.lease("one", n=1)
    undelivered(table, grant)
    assert delivered(table.poll("one", n=1, caller=a_caller("back"))) == [1, 2, 3]


def test_an_undone_deferred_grant_waits_as_before():
    table = Table(settings({"backoff_us": (SECOND,)}))
    table.push("app")
    table.settle(table.lease("one"), outcome=Outcome.FAIL)
    table.poll("one")
    table.wait(2 * SECOND)
    undelivered(table, table.last_lease("one"))
    assert table.record(1).attempts == 1
    table.poll("one")
    table.wait(SECOND)
    again = table.last_lease("one")
    assert (positions(again), again.deliveries) == ([1], (3,))


def test_damaged_messages_become_dead_and_the_rest_is_handed_out():
    table = Table()
    table.push("app", 2)
    table.push("app", 3)
    (unsent,) = table.poll("one", n=1)
    assert delivered([unsent]) == [1, 2, 3, 4, 5]
    (answer,) = table.step(damaged(unsent, 1, 2))
    assert (answer.n, delivered([answer])) == (1, [3, 4, 5])
    assert table.parked("dead") == [(1, 2)]
    assert table.record(1, "dead").history[0].reason == "damaged"
    assert [note.event for note in table.notes] == ["damaged"]
    assert table.settle(answer.leases[0]) == []
    assert table.group()["floor"] == 6


def test_a_damaged_deferred_message_becomes_dead():
    table = Table(settings({"backoff_us": (SECOND,)}))
    table.push("app")
    table.settle(table.lease("one"), outcome=Outcome.FAIL)
    table.poll("one")
    table.wait(2 * SECOND)
    table.step(damaged(table.sent[-1], 1, 1))
    assert (table.parked("deferred"), table.parked("dead")) == ([], [(1, 1)])
    table.push("app")
    assert delivered(table.sent[-1:]) == [2], "its poll still waits"


def test_what_did_not_fit_one_block_goes_back_to_the_front():
    table = Table()
    for _ in range(4):
        table.push("app")
    grant = table.lease("one", n=1)
    table.step(ev.Shortened("g", grant.lease, 1))
    (again,) = table.poll("one", n=1)
    assert positions(again.leases[0]) == [1]
    assert delivered(table.poll("two")) == [2, 3, 4]
    assert table.settle(grant, (1, 1)) == []
    assert [lost.ranges for lost in table.settle(grant, (1, 4))] == [((2, 4),)]


def test_a_shortened_deferred_lease_keeps_its_first_records():
    table = Table(settings({"backoff_us": (SECOND,), "drain_slice_us": 10 * SECOND}))
    table.push("app", 4)
    grant = table.lease("one")
    for at in (1, 2, 3, 4):
        table.settle(grant, (at, at), outcome=Outcome.FAIL)
    table.poll("one")
    table.wait(2 * SECOND)
    first = table.last_lease("one")
    table.wait(1_000)
    table.settle(first)
    table.poll("one")
    table.wait(SECOND)
    grant = table.last_lease("one")
    assert positions(grant) == [2, 3, 4]
    table.step(ev.Shortened("g", grant.lease, 2))
    assert table.group()["out"] == 2
    assert table.settle(grant, (2, 3)) == []
    assert table.parked() == [(4, 4)]


def test_news_of_leases_that_are_over_changes_nothing():
    table = Table()
    table.push("app", 2)
    grant = table.lease("one")
    table.settle(grant)
    for event in (
        ev.Undelivered(a_caller("one"), "g", (grant.lease,)),
        ev.Shortened("g", grant.lease, 1),
    ):
        assert table.step(event) == []
    assert table.group()["floor"] == 3


def test_news_of_an_old_answer_does_not_touch_the_newer_one():
    table = Table()
    table.push("app", 4)
    old = table.lease("one", credit=2)
    new = table.lease("one", credit=2)
    undelivered(table, old)
    (again,) = table.poll("one", n=2)
    assert again.leases == (new,)


def test_a_repeat_that_arrived_outlives_the_first_sending_that_did_not():
    table = Table()
    table.push("app", 3)
    grant = table.lease("one", n=1)
    (again,) = table.poll("one", n=1, caller=a_caller("back"))
    undelivered(table, grant)
    assert table.poll("two") == []
    table.poll("one", n=2, caller=a_caller("back"))
    undelivered(table, grant)
    assert table.poll("three") == []
    assert table.settle(again.leases[0]) == []


def test_a_repeat_that_could_not_be_sent_either_is_undone():
    table = Table()
    table.push("app", 3)
    grant = table.lease("one", n=1)
    table.poll("one", n=1, caller=a_caller("back"))
    undelivered(table, grant)
    table.step(ev.Undelivered(a_caller("back"), "g", (grant.lease,)))
    assert delivered(table.poll("two")) == [1, 2, 3]


def test_of_very_many_sendings_one_may_always_have_been_heard():
    table = Table()
    table.push("app", 3)
    grant = table.lease("one", n=1)
    callers = [a_caller(f"back{number}") for number in range(12)]
    for caller in callers:
        table.poll("one", n=1, caller=caller)
    undelivered(table, grant)
    for caller in callers:
        table.step(ev.Undelivered(caller, "g", (grant.lease,)))
    assert table.poll("two") == []


def test_a_first_sending_that_arrived_outlives_the_repeat_that_did_not():
    table = Table()
    table.push("app", 3)
    grant = table.lease("one", n=1)
    table.poll("one", n=1, caller=a_caller("back"))
    table.step(ev.Undelivered(a_caller("back"), "g", (grant.lease,)))
    assert table.poll("two") == []
    assert table.settle(grant) == []


def test_a_repeat_of_damaged_bytes_is_answered_where_it_came_from():
    table = Table()
    table.push("app", 2)
    table.push("app", 3)
    (first,) = table.poll("one", n=1)
    (repeat,) = table.poll("one", n=1, caller=a_caller("back"))
    (told,) = table.step(damaged(first, 1, 2))
    assert (told.caller.peer, told.why, delivered([told])) == (b"one", "replaced", [])
    (answer,) = table.step(damaged(repeat, 1, 2))
    assert (answer.caller.peer, delivered([answer])) == (b"back", [3, 4, 5])


def test_a_poll_that_was_replaced_while_its_bytes_proved_damaged_is_answered():
    table = Table()
    table.push("app", 2)
    (unsent,) = table.poll("one", n=1)
    table.poll("one", n=2, got=1, caller=a_caller("one", 2))
    (told,) = table.step(damaged(unsent, 1, 2))
    assert (told.caller, told.n, told.why) == (unsent.caller, 1, "replaced")
    assert table.parked("dead") == [(1, 2)]


def test_one_whose_request_waits_once_more_is_not_told_that_it_was_replaced():
    table = Table()
    table.push("app", 2)
    (unsent,) = table.poll("one", n=1)
    (repeat,) = table.poll("one", n=1)
    assert repeat.caller == unsent.caller
    assert table.step(damaged(unsent, 1, 2)) == []
    assert table.step(damaged(repeat, 1, 2)) == []
    table.push("app")
    assert delivered(table.sent[-1:]) == [3]


def test_a_poll_whose_group_was_deleted_while_its_bytes_proved_damaged_is_told_so():
    table = Table()
    table.push("app", 2)
    (unsent,) = table.poll("one", n=1)
    table.operate("group_delete", group="g")
    (told,) = table.step(damaged(unsent, 1, 2))
    assert (told.caller, told.why, told.leases) == (unsent.caller, "deleted", ())


def test_no_time_runs_while_the_bytes_of_an_answer_are_fetched():
    table = Table()
    table.push("app")
    grant = table.lease("one", n=1)
    table.step(ev.Fetching("g", (grant.lease,)))
    table.wait(10 * 60 * SECOND)
    assert table.group()["out"] == 1
    table.step(ev.Fetched("g", (grant.lease,)))
    table.wait(29 * SECOND)
    assert table.group()["out"] == 1
    table.wait(2 * SECOND)
    assert (table.group()["out"], table.parked("deferred")) == (0, [(1, 1)])


def test_an_answer_whose_bytes_are_trimmed_is_told_what_became_of_its_lease():
    """Only of a lease that is over can they be: nobody who holds one is told so."""
    table = Table()
    table.push("app", 2)
    (unmade,) = table.poll("one", n=1)
    assert isinstance(unmade, fx.Deliver)
    table.step_goodbye("one")
    (told,) = table.step(ev.Unmade(unmade))
    assert (told.caller, told.why, told.leases) == (unmade.caller, "replaced", ())
    assert (table.notes, table.parked("dead")) == ([], [])
    table.operate("group_delete", group="g")
    (told,) = table.step(ev.Unmade(unmade))
    assert told.why == "deleted"
