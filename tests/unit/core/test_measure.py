"""What is measured of sessions: handling times, and handlers on live work."""

from laybyd.core import events as ev
from laybyd.core.types import Outcome
from tests.builders import MS, SECOND, Table, a_caller, a_verdict, settings


def parts(table: Table):
    return table.broker._groups.get("g").parts


def test_one_request_with_outcomes_of_both_lanes_measures_both_alike():
    table = Table(settings({"backoff_us": (1 * SECOND,)}))
    table.push("app")
    table.settle(table.lease("one"), outcome=Outcome.FAIL)
    table.poll("one", handlers=8, idle=8)
    table.wait(2 * SECOND)
    deferred = table.last_lease("one")
    table.push("app")
    table.poll("one", handlers=8, idle=7)
    live = table.last_lease("one")
    assert (deferred.lane, live.lane) == ("deferred", "live")
    began = table.now
    session = parts(table).sessions.find(b"one")
    session.live_us, session.settled_us = None, began
    table.wait(100 * MS)
    verdicts = (a_verdict(live), a_verdict(deferred))
    table.step(ev.Settle(a_caller(), "g", verdicts))
    each = (table.now - began) * (session.handlers - session.idle) / 2
    assert session.live_us == each
    assert table.broker._groups.get("g")._settler.deferred_us == each


def test_messages_taken_from_a_lease_keep_no_handler_busy():
    table = Table(settings({"max_handling_us": 1 * SECOND}))
    table.push("app", 2)
    table.lease("one", handlers=2, idle=2)
    session = parts(table).sessions.find(b"one")
    table.extend("one", [(1, 1, 0)])
    assert session.busy == 2
    table.wait(2 * SECOND)
    assert (session.live_out, session.busy) == (1, 1)


def test_messages_that_did_not_go_out_keep_no_handler_busy():
    table = Table()
    table.push("app")
    table.push("app")
    grant = table.lease("one", handlers=2, idle=2)
    session = parts(table).sessions.find(b"one")
    assert session.busy == 2
    table.step(ev.Shortened("g", grant.lease, 1))
    assert (session.live_out, session.busy) == (1, 1)


def test_messages_that_are_handed_back_keep_no_handler_busy():
    table = Table()
    table.push("app", 2)
    grant = table.lease("one", handlers=2, idle=2)
    session = parts(table).sessions.find(b"one")
    assert session.busy == 2
    table.settle(grant, (2, 2), outcome=Outcome.RELEASE)
    assert (session.live_out, session.busy) == (1, 1)
    table.settle(grant, (1, 1), outcome=Outcome.RELEASE)
    table.step_goodbye("one")
    table.wait(3 * SECOND)
    assert parts(table).load.mean(table.now) == 0, "who has left does no work"


def test_a_poll_told_again_with_more_handlers_puts_them_to_work():
    table = Table()
    table.push("app", 2)
    table.lease("one", n=1, handlers=1, idle=0)
    table.poll("one", n=1, handlers=2, idle=0)
    table.wait(4 * SECOND)
    assert parts(table).load.mean(table.now) == 2
