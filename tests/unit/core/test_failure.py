"""Failure: attempts, backoff, dead, histories, halves; defer, reject, release."""

import pytest

from laybyd.core.events import Space
from laybyd.core.rules import cut_text
from laybyd.core.types import Outcome
from tests.builders import (
    MS,
    SECOND,
    Table,
    a_verdict,
    delivered,
    positions,
    settings,
)

SHORT = {"backoff_us": (1 * SECOND, 5 * SECOND), "max_attempts": 4}


def drained(table: Table, session: str = "one"):
    """The next deferred lease, whenever it is due."""
    sent = table.poll(session) + table.wait(20 * SECOND)
    grants = [grant for one in sent for grant in getattr(one, "leases", ())]
    assert len(grants) == 1, sent
    return grants[0]


def test_a_failed_message_is_counted_and_due_later_by_the_backoff_list():
    table = Table(settings(SHORT))
    table.push("app")
    grant = table.lease()
    delays = []
    for attempts in (1, 2, 3):
        table.settle(grant, outcome=Outcome.FAIL, reason=f"bad {attempts}")
        record = table.record(1)
        assert record.attempts == attempts
        delays.append(record.delay_us)
        grant = drained(table)
        assert grant.attempts == (attempts,)
        assert grant.deliveries == (attempts + 1,)
    assert delays == [1 * SECOND, 5 * SECOND, 5 * SECOND]


def test_at_max_attempts_the_message_is_dead_and_visible():
    table = Table(settings(SHORT | {"max_attempts": 2}))
    table.push("app", 2)
    table.settle(table.lease(credit=1), outcome=Outcome.FAIL, reason="bad")
    table.settle(table.lease(credit=1))
    table.settle(drained(table), outcome=Outcome.FAIL, reason="worse")
    assert (table.parked("deferred"), table.parked("dead")) == ([], [(1, 1)])
    assert [one.reason for one in table.record(1, "dead").history] == ["bad", "worse"]
    assert table.group()["dead"] == 1
    table.wait(3_600 * SECOND)
    assert table.parked("dead") == [(1, 1)]


def test_the_consumer_goes_on_after_a_failure():
    table = Table()
    table.push("app", 3)
    grant = table.lease()
    assert table.settle(grant, (2, 2), outcome=Outcome.FAIL) == []
    assert table.settle(grant, (1, 1), (3, 3)) == []
    assert table.group()["floor"] == 4


def test_a_range_that_fails_is_split_and_never_counted():
    table = Table()
    table.push("app", 6)
    table.settle(table.lease(), outcome=Outcome.FAIL, reason="one of these")
    assert table.parked() == [(1, 3), (4, 6)]
    record = table.record(1)
    assert (record.attempts, record.alone, record.due_us) == (0, True, table.record(4).due_us)
    assert record.history[0].counted is False


def test_halving_goes_on_until_the_bad_message_stands_alone():
    table = Table(settings(SHORT))
    table.push("app", 8)
    table.settle(table.lease(), outcome=Outcome.FAIL)
    handed_out = []
    while table.parked() != [(6, 6)] or not table.record(6).attempts:
        grant = drained(table)
        assert grant.alone
        handed_out.append(positions(grant))
        bad = 6 in positions(grant)
        table.settle(grant, outcome=Outcome.FAIL if bad else Outcome.ACK)
    assert handed_out == [[1, 2, 3, 4], [5, 6, 7, 8], [5, 6], [7, 8], [5], [6]]
    assert table.record(6).attempts == 1


def test_each_range_of_a_fail_is_judged_for_itself():
    table = Table()
    table.push("app", 6)
    table.settle(table.lease(), (1, 1), (2, 2), (5, 6), outcome=Outcome.FAIL)
    assert table.parked() == [(1, 1), (2, 2), (5, 5), (6, 6)]
    counted = {first: table.record(first).attempts for first in (1, 2, 5, 6)}
    assert counted == {1: 1, 2: 1, 5: 0, 6: 0}


def test_a_range_over_messages_deferred_one_by_one_is_not_counted():
    table = Table(settings(SHORT | {"drain_slice_us": 10 * SECOND}))
    table.push("app", 4)
    grant = table.lease()
    for at in (1, 2, 3):
        table.settle(grant, (at, at), outcome=Outcome.FAIL)
    table.settle(grant, (4, 4))
    table.poll()
    table.wait(2 * SECOND)
    first = table.last_lease("one")
    table.wait(1 * SECOND)
    table.settle(first)
    both = drained(table)
    assert positions(both) == [2, 3]
    table.settle(both, (2, 3), outcome=Outcome.FAIL)
    records = [table.record(2), table.record(3)]
    assert [(one.attempts, one.alone, one.delay_us) for one in records] == [(1, True, 0)] * 2


@pytest.mark.parametrize("foreign", [True, False])
def test_a_range_of_which_only_some_are_left_is_not_counted(foreign):
    table = Table()
    table.push("app", 1)
    table.push("other" if foreign else "app", 1)
    table.push("app", 1)
    grant = table.lease()
    if not foreign:
        table.settle(grant, (2, 2))
    table.settle(grant, (1, 3), outcome=Outcome.FAIL)
    assert table.parked() == [(1, 1), (3, 3)]
    records = [table.record(1), table.record(3)]
    assert [(one.attempts, one.alone) for one in records] == [(0, True)] * 2


def test_the_last_one_of_a_range_that_fails_is_not_counted_either():
    table = Table()
    table.push("app", 2)
    grant = table.lease()
    table.settle(grant, (1, 1))
    table.settle(grant, (1, 2), outcome=Outcome.FAIL)
    assert (table.record(2).attempts, table.record(2).alone) == (0, True)


def test_deferring_is_not_counted_and_is_due_after_its_delay():
    table = Table()
    table.push("app", 3)
    table.settle(table.lease(), outcome=Outcome.DEFER, delay_ms=3_000, reason="later")
    record = table.record(1)
    assert ((record.first, record.last), record.attempts, record.delay_us) == (
        (1, 3),
        0,
        3 * SECOND,
    )
    assert delivered(table.poll() + table.wait(2_900 * MS)) == []
    assert delivered(table.wait(200 * MS)) == [1, 2, 3]


def test_rejecting_sends_straight_to_the_dead():
    table = Table()
    table.push("app", 3)
    table.settle(table.lease(), (2, 3), outcome=Outcome.REJECT, reason="nonsense")
    assert table.parked("dead") == [(2, 3)]
    assert table.record(2, "dead").history[0].reason == "nonsense"


def test_releasing_in_the_deferred_lane_makes_it_due_at_once():
    table = Table(settings(SHORT))
    table.push("app")
    table.settle(table.lease(), outcome=Outcome.FAIL)
    grant = drained(table)
    table.settle(grant, outcome=Outcome.RELEASE, started=False)
    again = drained(table)
    assert (again.attempts, again.deliveries) == ((1,), (3,))
    for _ in range(4):
        table.settle(again, outcome=Outcome.RELEASE, started=True)
        again = drained(table)
    table.settle(again, outcome=Outcome.RELEASE, started=True)
    assert (table.record(1).attempts, table.record(1).history[-1].reason) == (2, "released")


def test_the_history_keeps_its_first_four_and_last_twelve_lines():
    table = Table(settings({"max_attempts": 100, "backoff_us": (1 * SECOND,)}))
    table.push("app")
    grant = table.lease()
    for number in range(20):
        table.settle(grant, outcome=Outcome.FAIL, reason=f"no {number}")
        grant = drained(table)
    reasons = [one.reason for one in table.record(1).history]
    assert reasons == [f"no {number}" for number in [*range(4), *range(8, 20)]]
    assert table.record(1).failures == 20
    assert [line[1] for line in grant.history[0]] == [f"no {number}" for number in range(16, 20)]
    assert grant.deliveries == (21,)


def test_reasons_are_cut():
    table = Table()
    table.push("app")
    table.settle(table.lease(), outcome=Outcome.FAIL, reason="ü" * 2_000)
    assert len(table.record(1).history[0].reason.encode()) == 1_024
    assert len(drained(table).history[0][0][1].encode()) == 200
    assert cut_text("aü", 2) == "a"


def test_a_part_of_a_deferred_range_can_be_settled():
    table = Table()
    table.push("app", 6)
    table.settle(table.lease(), outcome=Outcome.DEFER, delay_ms=0)
    grant = drained(table)
    table.settle(grant, (3, 3))
    assert table.parked() == [(1, 2), (4, 6)]
    table.settle(grant, (1, 1), outcome=Outcome.FAIL)
    table.settle(grant, (2, 2), (4, 6))
    assert table.parked() == [(1, 1)]
    assert table.record(1).attempts == 1
    assert table.state.bodies == {(1, 1)}


def test_everything_that_is_settled_leaves_no_bytes_behind():
    table = Table()
    table.push("app", 8)
    table.settle(table.lease(), outcome=Outcome.FAIL)
    for _ in range(2):
        table.settle(drained(table))
    assert table.state.bodies == set()
    shown = table.group()
    assert (shown["deferred"], shown["floor"]) == (0, 9)


@pytest.mark.parametrize("limit", ["deferred_bytes", "dead_bytes"])
def test_over_its_byte_limit_a_message_stays_in_the_log_and_pins_it_loudly(limit):
    table = Table(settings({limit: 150}))
    table.push("app", 3, size=300)
    table.push("app", 3, size=300)
    outcome = Outcome.DEFER if limit == "deferred_bytes" else Outcome.REJECT
    lane = "deferred" if limit == "deferred_bytes" else "dead"
    grant = table.lease()
    for at in (1, 2, 3):
        table.settle(grant, (at, at), outcome=outcome, delay_ms=0)
    table.settle(grant, (4, 6))
    in_log = [table.record(at, lane).in_log for at in (1, 2, 3)]
    assert in_log == [False, True, True]
    assert [note.event for note in table.notes] == ["parked_in_log"]
    assert table.group()["floor"] == 7
    table.wait(2 * SECOND)
    assert table.trims[-1] == 2
    assert "group g needs the log from 2" in table.operate("status").fields["pins"]


def test_what_pins_the_log_is_not_written_again_with_every_commit():
    table = Table(settings({"dead_bytes": 0}))
    table.push("app", 400)
    grant = table.lease(credit=400)
    for at in range(1, 400, 2):
        table.settle(grant, (at, at), outcome=Outcome.REJECT)
    sizes = [len(repr(commit.ops)) for commit in table.commits]
    assert sizes[-1] < 2 * sizes[1]
    table.restart()
    table.settle(grant.lease, *[(at, at) for at in range(2, 401, 2)])
    table.wait(2 * SECOND)
    assert table.group()["floor"] == 401
    assert "group g needs the log from 1" in table.operate("status").fields["pins"]
    table = Table(settings({"deferred_bytes": 0, "backoff_us": (1 * SECOND,)}))
    table.push("app", 2)
    table.push("app", 2)
    table.settle(table.lease(), (2, 3), outcome=Outcome.FAIL)
    table.settle(table.last_lease("one"), (1, 1), (4, 4))
    seen = []
    for _ in range(2):
        grant = drained(table)
        (piece,) = grant.pieces
        seen.append((piece.first, piece.block, piece.lane))
        table.settle(grant)
    assert seen == [(2, 1, "live"), (3, 3, "live")]
    table.wait(2 * SECOND)
    assert table.trims[-1] == 5


def test_when_the_state_store_is_full_messages_stay_in_the_log():
    table = Table()
    table.push("app", 1)
    table.step(Space(log_full=False, state_full=True, used=1, limit=1))
    table.settle(table.lease(), outcome=Outcome.FAIL)
    assert table.record(1).in_log


def test_when_the_state_store_is_full_histories_are_short():
    table = Table(settings({"backoff_us": (SECOND,), "max_attempts": 9}))
    table.push("app", 1)
    grant = table.lease()
    for number in range(6):
        if number == 3:
            table.step(Space(log_full=False, state_full=True, used=1, limit=1))
        table.settle(grant, outcome=Outcome.FAIL, reason=f"{number}" + "x" * 500)
        grant = drained(table)
    reasons = [line.reason for line in table.record(1).history]
    assert [reason[0] for reason in reasons] == ["0", "4", "5"]
    assert [len(reason) for reason in reasons] == [501, 100, 100]
    assert table.record(1).attempts == 6


def test_a_full_state_store_makes_no_history_longer():
    table = Table(settings({"backoff_us": (SECOND,)}, history_first=1, history_last=1))
    table.push("app", 1)
    table.step(Space(log_full=False, state_full=True, used=1, limit=1))
    grant = table.lease()
    for number in range(4):
        table.settle(grant, outcome=Outcome.FAIL, reason=f"{number}")
        grant = drained(table)
    assert [line.reason for line in table.record(1).history] == ["0", "3"]


def test_when_the_state_store_is_spent_nothing_is_handed_out_until_there_is_room():
    table = Table()
    table.push("app", 1)
    grant = table.lease("one")
    table.push("app", 1)
    table.step(Space(log_full=False, state_full=True, used=9, limit=9, state_spent=True))
    (note,) = table.notes
    assert (note.event, note.fields["used"]) == ("state_spent", 9)
    assert table.poll("two") == []
    (refused,) = table.poll("three", wait_ms=0)
    assert (refused.why, refused.leases) == ("no room", ())
    assert table.settle(grant) == []
    (given,) = table.step(Space(log_full=False, state_full=True, used=8, limit=9))
    assert delivered([given]) == [2]


def test_an_outcome_rides_on_a_poll():
    table = Table()
    table.push("app", 2)
    grant = table.lease(credit=1)
    (answer,) = table.poll(credit=1, verdicts=(a_verdict(grant, outcome=Outcome.FAIL),))
    assert delivered([answer]) == [2]
    assert table.parked() == [(1, 1)]
