"""The main road: push, poll, grant, settle, commit; fail, park, drain."""

from laybyd.core import effects as fx
from laybyd.core import events as ev
from laybyd.core.types import Outcome
from tests.builders import MS, SECOND, Table, a_caller, a_verdict, delivered, positions


def test_a_pushed_message_is_granted_settled_and_committed():
    table = Table()
    table.poll()
    table.push("app", 3)
    (answer,) = [one for one in table.sent if isinstance(one, fx.Deliver)]
    (grant,) = answer.leases
    assert positions(grant) == [1, 2, 3]
    assert table.settle(grant) == []
    assert table.group()["floor"] == 4
    assert table.state.load()[0].floor == 4


def test_a_lease_that_runs_out_parks_the_suspects_in_halves():
    table = Table()
    table.push("app", 8)
    table.lease(credit=8)
    table.wait(31 * SECOND)
    assert table.parked() == [(1, 4), (5, 8)]


def test_a_failed_message_is_parked_and_drained_when_it_is_due():
    table = Table()
    table.push("app", 4)
    grant = table.lease()
    table.settle(grant, (2, 2), outcome=Outcome.FAIL, reason="bad")
    verdict = a_verdict(grant, (1, 1), (3, 4))
    sent = table.poll(verdicts=(verdict,))
    assert delivered(sent) == []
    sent = table.wait(9 * SECOND)
    assert delivered(sent) == []
    sent = table.wait(1 * SECOND + 10 * MS)
    (answer,) = [one for one in sent if isinstance(one, fx.Deliver)]
    (grant,) = answer.leases
    assert (grant.lane, positions(grant), grant.attempts) == ("deferred", [2], (1,))
    assert grant.history[0][0][1:] == ("bad", "one", True)
    table.settle(grant)
    assert table.parked() == []
    assert table.group()["deferred"] == 0


def test_an_answer_does_not_wait_for_ranges_the_group_never_wanted():
    table = Table()
    table.push("other", 3)
    table.push("app", 1)
    grant = table.lease(topics=("app",))
    settle = ev.Settle(a_caller(), "g", (a_verdict(grant, outcome=Outcome.RELEASE),))
    assert [type(one) for one in table.step(settle)] == [fx.Reply]
