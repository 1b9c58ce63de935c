"""Quiesce: nothing new is taken in, what is out may be settled, then the process may stop."""

from laybyd.core import effects as fx
from laybyd.core import events as ev
from laybyd.core.types import Outcome
from tests.builders import MS, SECOND, Table, a_caller, a_verdict, settings
from tests.unit.core.test_reads import a_read


def a_push() -> ev.Push:
    return ev.Push(a_caller("producer"), "app", b"x", 1, 1, 0, False)


def quiescing(table: Table) -> list[fx.Effect]:
    return table.step(ev.Quiesce())


def test_a_broker_with_nothing_out_has_quiesced_at_once():
    table = Table()
    table.poll("one", wait_ms=0)
    quiescing(table)
    assert table.quiesced == 1


def test_waiting_polls_and_reads_are_answered_and_pushes_are_refused():
    table = Table()
    table.poll("one")
    table.step(a_read(first=None, wait_ms=10_000))
    sent = quiescing(table)
    assert [one.why for one in sent if isinstance(one, fx.Deliver)] == ["quiescing"]
    assert [one.blocks for one in sent if isinstance(one, fx.ReadOut)] == [()]
    (refusal,) = table.step(a_push())
    assert refusal.code == "quiescing"
    assert refusal.retry_ms > 0
    (answer,) = table.poll("two")
    assert (answer.leases, answer.why) == ((), "quiescing")
    (refusal,) = table.poll("three", group="new")
    assert (refusal.code, refusal.retry_ms > 0) == ("quiescing", True)
    (answer,) = table.step(a_read(first=None, wait_ms=10_000))
    assert answer.blocks == ()


def test_settles_are_taken_until_no_lease_is_out():
    table = Table()
    table.push("app", 3)
    grant = table.lease("one")
    quiescing(table)
    table.settle(grant, (1, 2))
    assert table.quiesced == 0
    table.hold = {fx.Commit}
    table.step(ev.Settle(a_caller(), "g", (a_verdict(grant, (3, 3), outcome=Outcome.FAIL),)))
    assert table.quiesced == 0, "not before all is committed"
    table.release()
    assert table.quiesced == 1
    assert table.state.load()[0].floor == 4


def test_riding_settles_are_taken_too():
    table = Table()
    table.push("app", 3)
    grant = table.lease("one")
    quiescing(table)
    (answer,) = table.poll("one", verdicts=(a_verdict(grant),))
    assert answer.why == "quiescing"
    assert table.quiesced == 1


def test_it_waits_no_longer_than_quiesce():
    table = Table(settings(quiesce_us=5 * SECOND))
    table.push("app", 3)
    table.lease("one")
    quiescing(table)
    table.wait(4_999 * MS)
    assert table.quiesced == 0
    table.wait(1 * MS)
    assert table.quiesced == 1
    table.wait(60 * SECOND)
    quiescing(table)
    assert table.quiesced == 1


def test_nothing_is_handed_out_while_quiescing():
    table = Table(settings({"lease_us": 2 * SECOND}))
    table.push("app", 3)
    table.lease("one", credit=1)
    quiescing(table)
    table.push("app", 3)
    table.wait(3 * SECOND)
    assert table.quiesced == 1, "the lease has run out"
    assert table.broker.next_deadline() is None or table.wait(60 * SECOND) == []


def test_a_broker_past_its_time_sleeps_until_the_last_commit_is_durable():
    table = Table(settings(quiesce_us=SECOND))
    table.push("app", 2)
    grant = table.lease("one")
    table.hold = {fx.Commit}
    table.step(ev.Settle(a_caller(), "g", (a_verdict(grant, (1, 1)),)))
    quiescing(table)
    table.wait(SECOND)
    at = table.broker.next_deadline()
    assert at is None or at > table.now
    assert table.quiesced == 0
    table.release()
    assert table.quiesced == 1


def test_no_group_is_made_while_quiescing():
    table = Table()
    table.push("app", 1)
    table.hold = {fx.FindTime}
    table.poll("one", start_us=1)
    table.poll("two")
    sent = quiescing(table)
    assert [(one.caller.peer, one.code) for one in sent] == [
        (b"one", "quiescing"),
        (b"two", "quiescing"),
    ]
    assert table.release() == []
    refusal = table.operate("group_create", group="new", topics=("app",))
    assert (refusal.code, refusal.retry_ms > 0) == ("quiescing", True)
    (refusal,) = table.poll("three")
    assert refusal.code == "quiescing"
    assert table.operate("groups").fields["groups"] == []
