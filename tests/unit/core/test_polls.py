"""Polls and sessions: numbers, repeats, replacements, waiting, and why nothing came."""

import pytest

from laybyd.core import effects as fx
from laybyd.core import events as ev
from laybyd.core.types import Outcome
from tests.builders import (
    MS,
    SECOND,
    Table,
    a_caller,
    a_poll,
    a_verdict,
    delivered,
    positions,
    settings,
)


def whys(sent) -> list[tuple[bytes, int, str]]:
    return [(one.caller.peer, one.n, one.why) for one in sent if isinstance(one, fx.Deliver)]


def test_nothing_comes_within_wait_ms():
    table = Table()
    assert table.poll(wait_ms=100) == []
    assert whys(table.wait(99 * MS)) == []
    assert whys(table.wait(1 * MS)) == [(b"one", 1, "nothing")]


def test_a_wait_longer_than_the_cap_counts_as_the_cap():
    table = Table(settings(wait_us_max=SECOND))
    table.poll(wait_ms=60_000)
    assert whys(table.wait(SECOND)) == [(b"one", 1, "nothing")]


def test_a_poll_is_not_told_nothing_before_the_broker_has_looked():
    table = Table()
    table.push("app", 3)
    table.hold = {fx.LoadRows}
    assert table.poll(wait_ms=0) == []
    assert table.wait(SECOND - MS) == []
    assert delivered(table.release()) == [1, 2, 3]


def test_a_poll_is_answered_in_time_though_the_broker_is_still_looking():
    table = Table()
    table.push("app", 3)
    table.hold = {fx.LoadRows}
    table.poll(wait_ms=500)
    assert table.wait(1_499 * MS) == []
    assert whys(table.wait(1 * MS)) == [(b"one", 1, "nothing")]
    assert delivered(table.release() + table.poll()) == [1, 2, 3]


def test_a_newer_poll_replaces_the_older():
    table = Table()
    table.poll()
    assert whys(table.poll()) == [(b"one", 1, "replaced")]
    table.push("app")
    assert [(one.n, delivered([one])) for one in table.sent[-1:]] == [(2, [1])]


def test_credit_zero_only_takes_the_poll_back():
    table = Table()
    table.poll()
    sent = table.poll(credit=0)
    assert whys(sent) == [(b"one", 1, "taken back"), (b"one", 2, "taken back")]
    table.push("app")
    assert table.sent[-1] is sent[-1]


def test_the_same_n_again_is_answered_with_the_same_leases():
    table = Table()
    table.push("app", 3)
    (first,) = table.poll(n=1)
    (again,) = table.step(a_poll("one", n=1, caller=a_caller("elsewhere")))
    assert again.leases == first.leases
    assert again.caller.peer == b"elsewhere"


def test_a_repeated_answer_leaves_out_leases_that_are_over():
    table = Table()
    table.push("app", 3)
    (first,) = table.poll(n=1)
    table.settle(first.leases[0])
    (again,) = table.poll(n=1)
    assert (again.leases, again.why) == ((), "nothing")


@pytest.mark.parametrize("lane", ["live", "deferred"])
def test_a_repeated_answer_holds_what_is_not_settled_yet(lane):
    table = Table()
    table.push("app", 5)
    if lane == "deferred":
        table.settle(table.lease("maker"), outcome=Outcome.DEFER, delay_ms=0)
        table.step_goodbye("maker")
    table.poll(n=1)
    table.wait(SECOND)
    grant = table.last_lease("one")
    assert (grant.lane, positions(grant)) == (lane, [1, 2, 3, 4, 5])
    table.settle(grant, (2, 2))
    table.settle(grant, (4, 4), outcome=Outcome.FAIL)
    (again,) = table.poll(n=1)
    (left,) = again.leases
    assert positions(left) == [1, 3, 5]
    assert len(left.deliveries) == (0 if lane == "live" else 3)
    if lane == "deferred":
        held = {(1, piece.block) for piece in left.pieces}
        assert held <= table.state.bodies
    assert table.settle(left) == []


def test_a_poll_sent_again_while_it_waits_moves_to_the_new_connection():
    table = Table()
    table.poll(n=1)
    assert whys(table.step(a_poll("one", n=1, caller=a_caller("elsewhere")))) == [
        (b"one", 1, "replaced")
    ]
    table.push("app")
    assert table.sent[-1].caller.peer == b"elsewhere"


def test_an_older_n_is_not_given_anything():
    table = Table()
    table.poll(n=5)
    table.push("app", 2)
    assert whys(table.poll(n=4)) == [(b"one", 4, "replaced")]


def test_leases_of_an_unheard_answer_go_back_uncounted():
    table = Table()
    table.push("app", 2)
    (lost,) = table.poll(n=1)
    (answer,) = table.poll(n=2, got=0)
    (grant,) = answer.leases
    assert positions(grant) == [1, 2]
    assert grant.deliveries == (2, 2)
    assert grant.attempts == ()
    assert table.settle(lost.leases[0], outcome=Outcome.FAIL)[0].code == "lease_lost"
    assert table.settle(grant) == []


def test_a_heard_answer_keeps_its_leases():
    table = Table()
    table.push("app", 2)
    grant = table.lease(credit=1)
    assert delivered(table.poll(credit=1)) == [2]
    assert table.settle(grant) == []


def test_a_minimal_client_is_its_connection_with_one_idle_handler():
    table = Table()
    table.push("app", 2)
    (answer,) = table.poll(None, credit=1)
    assert (answer.n, delivered([answer])) == (1, [1])
    verdict = a_verdict(answer.leases[0])
    (answer,) = table.poll(None, credit=1, verdicts=(verdict,))
    assert (answer.n, delivered([answer])) == (2, [2])
    shown = table.group()
    assert (shown["sessions"], shown["handlers"]) == (1, 1)
    assert shown["floor"] == 2


def test_two_minimal_clients_are_two_sessions():
    table = Table()
    table.poll(None, caller=a_caller("a"))
    table.poll(None, caller=a_caller("b"))
    assert table.group()["sessions"] == 2
    assert [one["session"] for one in table.group()["sessions_list"]] == [b"", b""]


def test_a_session_ends_when_it_is_silent_for_its_lease_with_no_poll_parked():
    table = Table(settings({"lease_us": SECOND}))
    table.poll("one", wait_ms=5_000)
    table.poll("two", wait_ms=0)
    table.wait(2 * SECOND)
    assert [one["name"] for one in table.group()["sessions_list"]] == ["one"]
    table.wait(5 * SECOND)
    assert table.group()["sessions"] == 0


def test_a_session_is_not_silent_before_its_longest_lease_would_end():
    table = Table(settings({"lease_us": 60 * SECOND}))
    table.push("app", 1)
    grant = table.lease("one")
    table.poll("one", lease_ms=1_000, wait_ms=0)
    table.wait(59 * SECOND)
    assert (table.group()["sessions"], table.group()["out"]) == (1, 1)
    assert table.settle(grant) == []
    assert table.parked() == []
    table.wait(SECOND)
    assert table.group()["sessions"] == 0


def test_a_session_may_ask_for_leases_of_another_length():
    table = Table()
    table.push("app", 2)
    assert table.lease("one", credit=1, lease_ms=1_000).lease_ms == 1_000
    assert table.lease("two", credit=1).lease_ms == 30_000


def test_there_are_no_more_sessions_than_allowed():
    table = Table(settings(sessions_max=1))
    table.poll("one")
    (refusal,) = table.poll("two")
    assert refusal.code == "over_limit"


def test_an_answer_with_riding_outcomes_waits_for_their_commit():
    table = Table()
    table.push("app", 2)
    grant = table.lease(credit=1)
    table.hold = {fx.Commit}
    assert table.poll(credit=1, verdicts=(a_verdict(grant),)) == []
    commits = [one for one in table.held if isinstance(one, fx.Commit)]
    assert len(commits) == 1, "what an answer waits for is flushed at once"
    (answer,) = table.release()
    assert delivered([answer]) == [2]


def test_other_answers_do_not_wait_for_a_commit():
    table = Table()
    table.push("app", 2)
    grant = table.lease("one", credit=1)
    table.hold = {fx.Commit}
    table.step(ev.Settle(a_caller(), "g", (a_verdict(grant),)))
    assert delivered(table.poll("two", credit=1)) == [2]


def test_a_poll_with_riding_outcomes_tells_which_were_refused():
    table = Table()
    table.push("app", 1)
    (answer,) = table.poll(verdicts=(a_verdict(b"nonsense", (1, 1)),))
    assert answer.refused == (fx.Lost(b"nonsense", ((1, 1),), "lease_unknown"),)


def test_a_session_holds_no_more_leases_than_allowed():
    table = Table(settings({"leases_per_session": 2}))
    table.push("app", 1)
    table.push("app", 1)
    first = table.lease(credit=1)
    table.lease(credit=1)
    table.push("app", 1)
    assert table.poll(wait_ms=1_000) == []
    assert whys(table.wait(SECOND)) == [(b"one", 3, "max out")]
    table.poll(wait_ms=1_000)
    table.settle(first)
    assert delivered(table.sent[-2:]) == [3]


def test_a_group_has_no_more_messages_out_than_allowed():
    table = Table(settings({"max_out": 3}))
    table.push("app", 10)
    grant = table.lease("one")
    assert positions(grant) == [1, 2, 3]
    assert table.poll("two", wait_ms=100) == []
    assert whys(table.wait(100 * MS)) == [(b"two", 1, "max out")]
    table.settle(grant)
    assert positions(table.lease("two")) == [4, 5, 6]


def test_goodbye_ends_the_session_at_once():
    table = Table()
    table.push("app", 4)
    table.lease("one", credit=2)
    table.poll("one", credit=2, handlers=1, idle=0)
    table.poll("one")
    sent = table.step(ev.Goodbye(a_caller("one"), "g", b"one"))
    assert whys(sent) == [(b"one", 3, "taken back")]
    assert isinstance(sent[-1], fx.Reply)
    assert table.group()["sessions"] == 0
    assert delivered(table.poll("two")) == [1, 2, 3, 4]


def test_goodbye_of_nobody_is_answered():
    table = Table()
    (reply,) = table.step(ev.Goodbye(a_caller(), "nowhere", b"nobody"))
    assert isinstance(reply, fx.Reply)


def test_what_a_repeated_answer_names_is_on_its_way_to_the_disk():
    table = Table(settings({"lease_us": 600 * SECOND}))
    table.push("app", 8)
    table.settle(table.lease("maker"), outcome=Outcome.DEFER, delay_ms=0)
    table.step_goodbye("maker")
    table.poll("one", n=1)
    table.wait(SECOND)
    grant = table.last_lease("one")
    before = len(table.commits)
    verdict = a_verdict(grant, (1, 4), outcome=Outcome.FAIL)
    table.step(ev.Settle(a_caller("settler"), "g", (verdict,)))
    assert len(table.commits) == before
    (again,) = [one for one in table.poll("one", n=1) if isinstance(one, fx.Deliver)]
    (left,) = again.leases
    assert {(1, piece.block) for piece in left.pieces} <= table.state.bodies
    assert len(table.commits) == before + 1
