"""What is due while requests of a group wait to be stepped: its commits, and the other groups."""

from __future__ import annotations

from laybyd.core import effects as fx
from laybyd.core import events as ev
from tests.builders import SECOND, Table, a_caller, a_verdict


def test_no_lease_ends_before_the_requests_that_came_in_time():
    table = Table()
    table.push("app")
    grant = table.lease()
    table.now += 31 * SECOND
    table.take(table.broker.tick(table.now, {"g"}))
    settle = ev.Settle(a_caller("settler"), "g", (a_verdict(grant),))
    table.take(table.broker.step(settle, table.now))
    assert table.parked() == []
    assert not any(isinstance(op, fx.Park) for one in table.commits for op in one.ops)


def test_it_ends_once_nothing_of_its_group_waits():
    table = Table()
    table.push("app")
    table.lease()
    table.now += 31 * SECOND
    table.take(table.broker.tick(table.now, {"g"}))
    at = table.broker.next_deadline()
    assert at is not None
    assert at <= table.now
    table.take(table.broker.tick(table.now, {"other"}))
    assert table.parked() == [(1, 1)]


def test_what_the_group_has_decided_is_committed_all_the_same():
    table = Table()
    table.push("app")
    grant = table.lease()
    table.step(ev.Settle(a_caller("settler"), "g", (a_verdict(grant),)))
    table.now += table.settings.settle_flush_us
    (commit,) = table.broker.tick(table.now, {"g"})
    assert isinstance(commit, fx.Commit)
