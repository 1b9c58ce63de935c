"""Settles that are sent again, and other outcomes under the same lease."""

import pytest

from laybyd.core import effects as fx
from laybyd.core import events as ev
from laybyd.core.types import Outcome
from tests.builders import MS, SECOND, Table, a_caller, a_verdict, settings

QUICK = {"lease_us": 10 * SECOND, "backoff_us": (60 * SECOND,), "max_attempts": 2}


def refused(answer) -> list[tuple[tuple, str]]:
    return [(lost.ranges, lost.code) for lost in answer]


def test_repeating_a_settle_is_answered_alike():
    table = Table()
    table.push("app", 4)
    grant = table.lease()
    for _ in range(2):
        assert table.settle(grant, (1, 2)) == []
        assert table.settle(grant, (3, 3), outcome=Outcome.FAIL) == []
    table.settle(grant, (4, 4))
    for _ in range(2):
        assert table.settle(grant, (1, 2)) == []
        assert table.settle(grant, (3, 3), outcome=Outcome.FAIL) == []
    assert table.record(3).attempts == 1


def test_a_repeated_settle_is_confirmed_only_when_the_first_is_durable():
    table = Table()
    table.push("app", 1)
    event = ev.Settle(a_caller(), "g", (a_verdict(table.lease()),))
    table.hold = {fx.Commit}
    assert table.step(event) + table.wait(10 * MS) + table.step(event) == []
    assert len(table.release()) == 2


def test_an_ack_after_a_fail_of_the_same_lease_settles_the_message():
    table = Table()
    table.push("app", 1)
    grant = table.lease()
    table.settle(grant, outcome=Outcome.FAIL)
    assert table.settle(grant) == []
    assert table.parked() == []


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("second", [Outcome.REJECT, Outcome.FAIL, Outcome.DEFER])
def test_what_was_acked_takes_no_other_outcome(ended, second):
    table = Table()
    table.push("app", 2)
    grant = table.lease()
    table.settle(grant, (1, 2) if ended else (1, 1))
    assert refused(table.settle(grant, (1, 1), outcome=second)) == [(((1, 1),), "lease_lost")]
    assert table.settle(grant, (1, 1)) == [], "the ack was taken, and is again"
    assert (table.parked("deferred"), table.parked("dead")) == ([], [])


@pytest.mark.parametrize("first", [Outcome.ACK, Outcome.REJECT, Outcome.FAIL, Outcome.DEFER])
@pytest.mark.parametrize("head_records", [1, 1_000])
def test_a_late_outcome_that_was_taken_is_taken_again(first, head_records):
    table = Table(settings(QUICK, head_records=head_records))
    table.push("app", 4)
    grant = table.lease("one")
    table.wait(11 * SECOND)
    assert table.settle(grant, (2, 2), outcome=first) == []
    before = table.parked("deferred"), table.parked("dead")
    commits = len(table.commits)
    assert table.settle(grant, (2, 2), outcome=first) == []
    assert (table.parked("deferred"), table.parked("dead")) == before
    assert len(table.commits) == commits, "it changed nothing"


def test_a_fail_that_was_taken_is_taken_again_when_another_has_settled_the_message():
    table = Table(settings(QUICK | {"backoff_us": (1 * SECOND,)}))
    table.push("app")
    grant = table.lease("one")
    table.settle(grant, outcome=Outcome.FAIL)
    table.poll("two")
    table.wait(2 * SECOND)
    assert table.settle(table.last_lease("two")) == []
    assert table.settle(grant, outcome=Outcome.FAIL) == []
    assert refused(table.settle(grant)) == [(((1, 1),), "lease_lost")]


def test_a_reject_after_a_fail_of_the_same_lease_counts():
    table = Table()
    table.push("app")
    grant = table.lease()
    table.settle(grant, outcome=Outcome.FAIL)
    assert table.settle(grant, outcome=Outcome.REJECT) == []
    assert (table.parked("deferred"), table.parked("dead")) == ([], [(1, 1)])
    assert refused(table.settle(grant, outcome=Outcome.DEFER)) == [(((1, 1),), "lease_lost")]
    assert table.settle(grant, outcome=Outcome.FAIL) == []


def test_a_late_outcome_that_is_refused_is_refused_again():
    table = Table(settings(QUICK | {"backoff_us": (0,)}))
    table.push("app")
    grant = table.lease("one")
    table.wait(11 * SECOND)
    table.poll("two")
    table.wait(1 * SECOND)
    other = table.last_lease("two")
    for _ in range(2):
        assert refused(table.settle(grant)) == [(((1, 1),), "lease_lost")]
    table.settle(other)
    assert refused(table.settle(grant)) == [(((1, 1),), "lease_lost")]


def test_a_reject_of_an_earlier_boot_is_taken_again_and_nothing_else():
    table = Table()
    table.push("app")
    grant = table.lease()
    table.settle(grant, outcome=Outcome.REJECT)
    table.restart()
    assert table.settle(grant, outcome=Outcome.REJECT) == []
    for other in (Outcome.ACK, Outcome.FAIL, Outcome.DEFER):
        assert refused(table.settle(grant, outcome=other)) == [(((1, 1),), "lease_lost")]


@pytest.mark.parametrize("boots", [0, 1])
def test_a_fail_that_is_told_again_after_another_failed_too_is_counted_once(boots):
    table = Table(settings(QUICK | {"backoff_us": (0,), "max_attempts": 6}))
    table.push("app")
    first = table.lease("one")
    table.settle(first, outcome=Outcome.FAIL)
    for _ in range(boots):
        table.restart()
    table.poll("two")
    table.wait(1 * SECOND)
    table.settle(table.last_lease("two"), outcome=Outcome.FAIL)
    table.wait(100 * SECOND)
    assert table.settle(first, outcome=Outcome.FAIL) == []
    assert table.record(1).attempts == 2


def test_a_fail_of_an_earlier_boot_is_taken_again_while_another_has_the_message():
    table = Table(settings(QUICK | {"backoff_us": (0,)}))
    table.push("app")
    grant = table.lease("one")
    table.settle(grant, outcome=Outcome.FAIL)
    table.restart()
    table.poll("two")
    table.wait(1 * SECOND)
    assert table.last_lease("two").attempts == (1,)
    assert table.settle(grant, outcome=Outcome.FAIL) == []
    assert refused(table.settle(grant)) == [(((1, 1),), "lease_lost")]
    assert table.settle(table.last_lease("two")) == []
