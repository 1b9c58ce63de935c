"""Late answers: accepted for what nobody holds and nobody settled, range by range."""

import pytest

from laybyd.core import effects as fx
from laybyd.core.types import Outcome
from tests.builders import MS, SECOND, Table, delivered, positions, settings

QUICK = {"lease_us": 10 * SECOND, "backoff_us": (60 * SECOND,), "max_attempts": 2}


def expired(messages: int = 1, **group) -> tuple[Table, fx.Grant]:
    """A lease that has run out without a word."""
    table = Table(settings(QUICK | group))
    table.push("app", messages)
    grant = table.lease("one")
    table.wait(11 * SECOND)
    return table, grant


def refused(answer) -> list[tuple[tuple, str]]:
    return [(lost.ranges, lost.code) for lost in answer]


def test_a_late_ack_of_a_deferred_message_counts():
    table, grant = expired()
    assert table.settle(grant) == []
    assert (table.parked(), table.group()["deferred"]) == ([], 0)


def test_a_late_ack_of_a_message_waiting_in_live_counts():
    table = Table(settings(QUICK))
    table.push("app", 4)
    grant = table.lease("one")
    table.extend("one")
    table.wait(11 * SECOND)
    assert table.settle(grant, (2, 3)) == []
    assert delivered(table.poll("two")) == [1, 4]


def test_a_late_outcome_for_what_another_holds_is_refused_range_by_range():
    table = Table(settings(QUICK))
    table.push("app", 4)
    old = table.lease("one")
    table.extend("one")
    table.wait(11 * SECOND)
    new = table.lease("two", credit=2)
    assert refused(table.settle(old)) == [(((1, 2),), "lease_lost")]
    assert table.settle(new) == []
    assert table.group()["floor"] == 5


def test_a_late_outcome_for_what_another_settled_is_refused():
    table = Table(settings(QUICK))
    table.push("app", 2)
    old = table.lease("one")
    table.extend("one")
    table.wait(11 * SECOND)
    table.settle(table.lease("two"))
    assert refused(table.settle(old)) == [(((1, 2),), "lease_lost")]


def test_a_lease_that_was_never_issued_is_unknown():
    table = Table()
    table.push("app", 2)
    grant = table.lease()
    next_one = grant.lease[:-1] + bytes([grant.lease[-1] + 1])
    later_boot = b"\0\0\0\x09" + grant.lease[4:]
    other_group = grant.lease[:6] + b"\x77" + grant.lease[7:]
    for lease in (next_one, later_boot, other_group, b"", b"x" * 12, b"x" * 16):
        assert refused(table.settle(lease, (1, 1))) == [(((1, 1),), "lease_unknown")]


def test_positions_outside_the_lease_are_refused():
    table = Table()
    table.push("app", 4)
    grant = table.lease("one", credit=2)
    assert refused(table.settle(grant, (1, 4), (9, 9))) == [(((3, 4), (9, 9)), "lease_lost")]


def test_a_late_fail_after_the_lease_ran_out_is_not_counted_twice():
    table, grant = expired()
    assert table.record(1).attempts == 1
    assert table.settle(grant, outcome=Outcome.FAIL) == []
    assert table.record(1).attempts == 1


def test_a_late_fail_that_was_counted_is_not_counted_again_in_a_new_generation():
    table, grant = expired(max_attempts=1)
    table.operate("retry", group="g", lane="dead", ranges=((1, 1),))
    assert table.settle(grant, outcome=Outcome.FAIL) == []
    record = table.record(1)
    assert (record.generation, record.attempts, record.failures) == (1, 0, 1)


def test_a_late_fail_of_one_suspect_is_counted():
    table, grant = expired(4)
    assert table.settle(grant, (2, 2), outcome=Outcome.FAIL) == []
    assert table.record(2).attempts == 1
    assert table.parked() == [(1, 1), (2, 2), (3, 4)]


def test_a_late_fail_of_a_range_is_not_counted():
    table = Table(settings(QUICK))
    table.push("app", 2)
    table.push("app", 2)
    grant = table.lease("one")
    table.extend("one")
    table.wait(11 * SECOND)
    assert table.settle(grant, (2, 3), outcome=Outcome.FAIL) == []
    assert table.parked() == [(2, 2), (3, 3)]
    assert [table.record(at).attempts for at in (2, 3)] == [0, 0]
    assert table.settle(grant, (1, 1), (4, 4), outcome=Outcome.FAIL) == []
    assert [table.record(at).attempts for at in (1, 4)] == [1, 1]


def test_a_late_reject_sends_to_the_dead():
    table, grant = expired()
    assert table.settle(grant, outcome=Outcome.REJECT) == []
    assert (table.parked("deferred"), table.parked("dead")) == ([], [(1, 1)])


def test_a_late_release_changes_nothing():
    table, grant = expired()
    assert table.settle(grant, outcome=Outcome.RELEASE) == []
    assert table.record(1).attempts == 1


def test_a_late_ack_of_a_dead_message_is_refused():
    table, grant = expired(max_attempts=1)
    assert table.parked("dead") == [(1, 1)]
    assert refused(table.settle(grant)) == [(((1, 1),), "lease_lost")]
    assert table.settle(grant, outcome=Outcome.FAIL) == [], "what made it dead"


@pytest.mark.parametrize("messages", [1, 2], ids=["counted", "suspect"])
def test_a_late_defer_counts_for_what_waits_because_its_lease_has_ended(messages):
    table = Table(settings(QUICK))
    table.push("app", messages)
    grant = table.lease("one")
    table.wait(11 * SECOND)
    before, told_us = table.record(1), table.now
    for _ in range(2):
        assert table.settle(grant, (1, 1), outcome=Outcome.DEFER, delay_ms=500_000) == []
    due_us = table.record(1).due_us
    assert before.due_us < told_us + 500 * SECOND <= due_us < told_us + 501 * SECOND
    assert table.record(1).attempts == before.attempts
    table.restart()
    table.wait(100 * SECOND)
    assert table.settle(grant, (1, 1), outcome=Outcome.DEFER, delay_ms=500_000) == []
    assert table.record(1).due_us == due_us, "it was said before"


def test_a_defer_after_a_fail_does_not_shorten_the_backoff():
    table = Table(settings(QUICK))
    table.push("app")
    grant = table.lease("one")
    table.settle(grant, outcome=Outcome.FAIL)
    due_us = table.record(1).due_us
    assert table.settle(grant, outcome=Outcome.DEFER, delay_ms=0) == []
    assert (table.record(1).due_us, table.record(1).attempts) == (due_us, 1)


def test_a_late_release_of_a_dead_message_is_refused():
    table, grant = expired(max_attempts=1)
    release = table.settle(grant, outcome=Outcome.RELEASE)
    assert refused(release) == [(((1, 1),), "lease_lost")]


def test_a_message_taken_for_taking_too_long_may_still_be_acked():
    table = Table(settings(QUICK | {"max_handling_us": 1 * SECOND}))
    table.push("app", 2)
    grant = table.lease("one")
    table.extend("one", [(1, 1, 0)])
    table.wait(2 * SECOND)
    assert table.parked() == [(1, 1)]
    assert table.settle(grant) == []
    assert (table.parked(), table.group()["floor"]) == ([], 3)


# ---- earlier boots ----------------------------------------------------------------------------


def test_settles_of_an_earlier_boot_are_believed():
    table = Table(settings(QUICK))
    table.push("app", 4)
    grant = table.lease()
    table.restart()
    assert table.settle(grant, (1, 3)) == []
    assert table.settle(grant, (1, 3)) == [], "a repeat"
    table.wait(SECOND)
    assert delivered(table.poll("two")) == [4]


def test_a_short_restart_makes_no_duplicates():
    table = Table()
    table.push("app", 2)
    grant = table.lease("one")
    table.restart()
    assert delivered(table.poll("one", n=1)) == []
    table.wait(400 * MS)
    table.settle(grant)
    assert delivered(table.wait(SECOND)) == []


def test_nothing_is_granted_in_the_restart_grace_and_the_answer_says_so():
    table = Table()
    table.push("app", 2)
    table.poll("maker", wait_ms=0, credit=0)
    table.restart()
    table.poll("one", n=1, wait_ms=100)
    (answer,) = table.wait(100 * MS)
    assert answer.why == "restart grace"
    table.poll("one", n=2)
    assert delivered(table.wait(399 * MS)) == []
    assert delivered(table.wait(1 * MS)) == [1, 2]


def test_a_fail_of_an_earlier_boot_is_counted_once():
    table = Table(settings(QUICK))
    table.push("app", 2)
    grant = table.lease()
    table.restart()
    assert table.settle(grant, (1, 1), outcome=Outcome.FAIL) == []
    assert table.settle(grant, (1, 1), outcome=Outcome.FAIL) == []
    table.restart()
    assert table.settle(grant, (1, 1), outcome=Outcome.FAIL) == []
    assert table.record(1).attempts == 1


def test_a_late_fail_far_beyond_the_window_is_taken():
    table = Table(settings(QUICK, window_rows=2))
    for _ in range(12):
        table.push("app", 2)
    grant = None
    for _ in range(6):
        grant = table.lease(credit=4)
    table.restart()
    assert positions(grant) == [21, 22, 23, 24]
    assert table.settle(grant, (22, 22), outcome=Outcome.FAIL) == []
    assert table.record(22).attempts == 1
    assert table.settle(grant, (23, 24)) == []
    table.wait(SECOND)
    seen = []
    while len(seen) < 21:
        seen += delivered(table.poll("two", credit=50))
    assert seen == list(range(1, 22))


def test_what_was_never_stored_is_refused():
    table = Table()
    table.push("app", 1)
    grant = table.lease()
    table.restart()
    assert refused(table.settle(grant.lease, (1, 5))) == [(((2, 5),), "lease_lost")]


# ---- look-ups ---------------------------------------------------------------------------------


def deep_queue() -> tuple[Table, list[fx.Grant]]:
    """Twenty deferred messages, of which eight at most fit the head; their leases ran out."""
    table = Table(settings(QUICK, head_records=4))
    table.push("app", 20)
    leases = [table.lease("one", credit=1) for _ in range(20)]
    table.wait(11 * SECOND)
    assert len(table.parked()) == 20
    return table, leases


def test_a_late_ack_of_a_message_deep_in_the_queue_is_looked_up():
    table, leases = deep_queue()
    assert table.settle(leases[19]) == []
    assert len(table.parked()) == 19


@pytest.mark.parametrize("outcome", [Outcome.ACK, Outcome.REJECT])
def test_a_poll_with_a_late_outcome_is_answered_when_it_was_looked_up(outcome):
    from tests.builders import a_verdict

    table, leases = deep_queue()
    table.push("app", 1)
    table.hold = {fx.FindParked}
    verdict = a_verdict(leases[19], outcome=outcome)
    assert table.poll(verdicts=(verdict,)) == []
    (answer,) = table.release()
    assert (delivered([answer]), answer.refused) == ([21], ())


def test_a_poll_asked_again_while_its_outcome_is_looked_up_gives_each_request_its_answer():
    from tests.builders import a_caller, a_verdict

    table, leases = deep_queue()
    table.hold = {fx.FindParked}
    verdict = a_verdict(leases[19])
    table.poll(n=30, wait_ms=10, verdicts=(verdict,))
    table.wait(10 * SECOND)
    table.poll(n=30, wait_ms=10, verdicts=(verdict,), caller=a_caller("again"))
    sent = []
    for _ in range(4):
        sent += table.release() + table.wait(10 * MS)
    assert sorted(one.caller.peer for one in sent) == [b"again", b"one"]


@pytest.mark.parametrize("head_records", [4, 1_000])
def test_several_parts_of_one_deferred_range_may_be_settled_late(head_records):
    table = Table(settings(QUICK | {"lease_us": 60 * SECOND}, head_records=head_records))
    table.push("app", 20)
    whole = table.lease("one", credit=10)
    table.settle(whole, outcome=Outcome.DEFER, delay_ms=100_000)
    for at in range(11, 21):
        table.settle(table.lease("one", credit=1), (at, at), outcome=Outcome.FAIL)
    table.restart()
    answers = table.settle(whole.lease, (1, 1), (3, 3), (5, 6), outcome=Outcome.REJECT)
    assert answers == []
    assert table.parked()[:3] == [(2, 2), (4, 4), (7, 10)]
    assert table.parked("dead") == [(1, 1), (3, 3), (5, 6)]
    assert table.settle(whole.lease, (7, 7), (8, 8), outcome=Outcome.FAIL) == []
    assert [table.record(at).attempts for at in (7, 8, 9)] == [1, 1, 0]
    shown = table.group()
    assert (shown["deferred"], shown["dead"]) == (16, 4)


def test_a_record_that_changes_while_it_is_looked_up_is_judged_anew():
    from laybyd.core import events as ev
    from tests.builders import a_caller, a_verdict

    table, leases = deep_queue()
    table.hold = {fx.FindParked}
    table.step(ev.Settle(a_caller(), "g", (a_verdict(leases[19], outcome=Outcome.REJECT),)))
    table.step(ev.Settle(a_caller(), "g", (a_verdict(leases[19]),)))
    sent = []
    for _ in range(6):
        sent += table.release() + table.wait(10 * MS)
    replies = [one.fields["refused"] for one in sent if isinstance(one, fx.Reply)]
    assert len(replies) == 2
    assert replies[0] == ()
    assert [lost.code for lost in replies[1]] == ["lease_lost"], "it was dead by then"
    assert (len(table.parked("deferred")), table.parked("dead")) == (19, [(20, 20)])


def test_a_record_that_is_handed_out_while_it_is_looked_up_is_its_holders():
    from laybyd.core import events as ev
    from tests.builders import a_caller, a_verdict

    table, leases = deep_queue()
    table.hold = {fx.FindParked}
    table.step(ev.Settle(a_caller(), "g", (a_verdict(leases[19], outcome=Outcome.REJECT),)))
    table.wait(60 * SECOND)
    for _ in range(20):
        table.poll("two", credit=1)
        table.wait(SECOND)
        held = table.last_lease("two")
        if positions(held) == [20]:
            break
        table.settle(held)
    sent = table.release() + table.wait(10 * MS)
    (reply,) = [one for one in sent if isinstance(one, fx.Reply)]
    assert [lost.code for lost in reply.fields["refused"]] == ["lease_lost"]
    assert (table.parked(), table.parked("dead")) == ([(20, 20)], [])
    assert table.settle(held) == []


def test_a_deleted_group_answers_settles_that_are_being_looked_up():
    from laybyd.core import events as ev
    from tests.builders import a_caller, a_verdict

    table, leases = deep_queue()
    table.hold = {fx.FindParked}
    table.step(ev.Settle(a_caller(), "g", (a_verdict(leases[19]),)))
    sent = table.operate_later("group_delete", group="g")
    (reply,) = [one for one in sent if isinstance(one, fx.Reply) and one.fields]
    assert reply.fields["refused"][0].code == "lease_lost"
    assert table.release() == []
