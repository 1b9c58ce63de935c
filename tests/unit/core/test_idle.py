"""Idle and drain: deferred work goes to what live does not need, and never starves."""

import pytest

from laybyd.core import effects as fx
from laybyd.core import events as ev
from laybyd.core.load import Load
from laybyd.core.sessions import Session
from laybyd.core.types import Outcome
from tests.builders import (
    MS,
    SECOND,
    START,
    Table,
    a_caller,
    a_verdict,
    delivered,
    positions,
    settings,
)

GROUP = {"backoff_us": (1 * SECOND,), "idle_after_us": 5 * MS, "lease_us": 600 * SECOND}


def a_table(deferred: int = 1, topics=("app",), **group) -> Table:
    """Some deferred messages that are due, and nothing live."""
    table = Table(settings(GROUP | group))
    for number in range(deferred):
        table.push(topics[number % len(topics)])
        grant = table.lease("maker", topics=topics)
        table.settle(grant, outcome=Outcome.FAIL)
    table.step_goodbye("maker")
    table.wait(3 * SECOND)
    return table


def lanes(sent) -> list[tuple[str, str]]:
    return [
        (one.caller.peer.decode(), grant.lane)
        for one in sent
        if isinstance(one, fx.Deliver)
        for grant in one.leases
    ]


def test_due_messages_go_to_a_poll_that_has_waited_long_enough_with_nothing_live():
    table = a_table()
    table.poll("one")
    table.poll("two")
    table.poll("three")
    assert lanes(table.wait(4_990)) == []
    assert lanes(table.wait(10)) == [("one", "deferred")]


def polling(table: Table, *names: str, **fields) -> list[tuple[str, str]]:
    """Each polls without waiting, a millisecond later again; for 5 ms."""
    sent = []
    for _ in range(6):
        for name in names:
            sent += table.poll(name, wait_ms=0, **fields)
        sent += table.wait(MS)
    return lanes(sent)


@pytest.mark.parametrize("names", [("one",), ("one", "two", "three")])
def test_clients_that_never_wait_are_surplus_too(names):
    table = a_table()
    found = polling(table, *names)
    assert found == [("one", "deferred")]


def test_clients_that_never_wait_are_not_surplus_while_they_have_work():
    table = a_table(3)
    for name in ("one", "two", "three"):
        table.poll(name, idle=0, wait_ms=0)
    assert polling(table, "one", "two", "three", idle=0) == []
    for _ in range(8):
        table.push("app", 3)
        for name in ("one", "two", "three"):
            assert lanes(table.poll(name, wait_ms=0, credit=1)) == [(name, "live")]
            table.step(ev.Settle(a_caller(), "g", (a_verdict(table.last_lease(name)),)))
        table.wait(MS)


def test_one_that_never_waits_does_not_hide_one_that_does():
    table = a_table()
    table.poll("one")
    assert polling(table, "two", "three") == [("one", "deferred")]


def test_what_is_not_due_is_not_handed_out():
    table = a_table()
    for name in ("one", "two", "three"):
        table.poll(name)
    table.wait(SECOND)
    table.settle(table.last_lease("one"), outcome=Outcome.DEFER, delay_ms=5_000)
    table.poll("one")
    assert lanes(table.wait(4_900 * MS)) == []
    assert lanes(table.wait(200 * MS)) == [("two", "deferred")]


def test_a_session_that_comes_back_from_deferred_work_is_surplus_at_once():
    table = a_table(2)
    table.poll("other", handlers=5, idle=0)
    table.poll("one", credit=1)
    table.wait(5 * MS)
    verdict = a_verdict(table.last_lease("one"))
    (answer,) = table.poll("one", credit=1, verdicts=(verdict,))
    assert lanes([answer]) == [("one", "deferred")]


def test_live_is_not_given_ahead_of_need_to_a_session_on_deferred_work():
    table = a_table()
    table.poll("other", handlers=3, idle=0, credit=1)
    table.poll("one")
    table.wait(5 * MS)
    deferred = table.last_lease("one")
    table.poll("one", idle=0)
    assert lanes(table.push_sent(messages=2)) == [("other", "live")]
    before = len(table.sent)
    table.settle(deferred)
    assert lanes(table.sent[before:]) == [("one", "live")]


def test_what_was_given_back_three_times_does_not_wait_for_a_session_on_deferred_work():
    table = a_table()
    table.poll("drains", handlers=4)
    table.wait(5 * MS)
    assert table.last_lease("drains").lane == "deferred"
    table.poll("drains", handlers=4, idle=0)
    table.push()
    for _ in range(4):
        grant = table.lease("one")
        assert grant.lane == "live"
        table.settle(grant, outcome=Outcome.RELEASE, started=False)


def test_prefetching_polls_get_no_deferred_work():
    table = a_table()
    table.poll("one", handlers=4, idle=0)
    assert lanes(table.wait(20 * SECOND)) == []


def test_live_goes_before_deferred_and_preempts_it():
    table = a_table(3)
    for name in ("one", "two", "three", "four", "five"):
        table.poll(name)
    table.wait(5 * MS)
    assert {lane for _, lane in lanes(table.sent[-3:])} == {"deferred"}
    table.settle(table.last_lease("one"), outcome=Outcome.DEFER, delay_ms=0)
    sent = table.push_sent("app", 40)
    assert {lane for _, lane in lanes(sent)} == {"live"}
    table.push("app", 40)
    (answer,) = table.poll("one", credit=10)
    assert lanes([answer]) == [("one", "live")]


def test_oldest_due_comes_first():
    table = a_table(3)
    for _ in range(3):
        table.poll("one", credit=1, handlers=4, idle=4)
        table.wait(20 * MS)
        table.settle(table.last_lease("one"))
    assert delivered(table.sent)[-3:] == [1, 2, 3]


@pytest.mark.parametrize(("handlers", "out"), [(3, 2), (4, 3), (8, 7)])
def test_headroom_keeps_a_reserve_of_handlers(handlers, out):
    table = a_table(20)
    for number in range(handlers):
        table.poll(f"c{number}", credit=1)
    sent = table.wait(SECOND)
    assert len(lanes(sent)) == out


def test_headroom_leaves_the_handlers_that_live_needs():
    table = a_table(20)
    table.push("app", 2)
    for name in ("busy", "too"):
        table.lease(name, credit=1)
    table.wait(2 * SECOND)
    for name in ("a", "b", "c"):
        table.poll(name, credit=1)
    assert len(lanes(table.wait(SECOND))) == 2, "five handlers, two needed, one in reserve"


@pytest.mark.parametrize("handlers", [1, 2])
def test_with_one_or_two_handlers_one_deferred_lease_at_a_time(handlers):
    table = a_table(5)
    for number in range(handlers):
        table.poll(f"c{number}", credit=1)
    assert len(lanes(table.wait(SECOND))) == 1
    table.push("app", 1)
    if handlers == 2:
        assert lanes(table.sent[-1:]) == [("c1", "live")]


def test_with_two_handlers_nothing_is_drained_while_live_uses_half_of_them():
    table = a_table(5)
    table.poll("one", credit=1)
    table.push("app", 1)
    table.wait(3 * SECOND)  # "one" has been busy all the time
    table.poll("two", credit=1)
    assert lanes(table.wait(SECOND)) == []
    table.settle(table.last_lease("one"))
    table.wait(SECOND)
    assert lanes(table.sent)[-1] == ("two", "deferred")


def test_a_deferred_lease_is_sized_to_last_a_drain_slice():
    table = a_table(40, drain_slice_us=20 * MS)
    table.poll("other", handlers=5, idle=0)
    table.poll("one")
    table.wait(5 * MS)
    first = table.last_lease("one")
    assert len(positions(first)) == 1, "nothing is measured yet"
    table.wait(2 * MS)
    table.poll("one", verdicts=(a_verdict(first),))
    assert len(positions(table.last_lease("one"))) == 10, "2 ms each"


def test_where_the_way_takes_longer_than_a_slice_a_quarter_of_a_slice_is_work():
    """Of 100 ms one was work, says the consumer; who does not say gets one message at a time."""
    table = a_table(40, drain_slice_us=20 * MS)
    table.poll("other", handlers=5, idle=0)
    table.poll("one")
    table.wait(5 * MS)
    for told, count in ((None, 1), (2 * MS, 2), (50 * MS, 1), (1 * MS, 3)):
        table.wait(100 * MS)
        table.poll("one", deferred_us=told, verdicts=(a_verdict(table.last_lease("one")),))
        assert len(positions(table.last_lease("one"))) == count, told


def test_a_deferred_lease_has_one_topic():
    table = a_table(6, topics=("app", "web"), drain_slice_us=SECOND)
    table.poll("other", handlers=5, idle=0, topics=None)
    table.poll("one", topics=None)
    table.wait(5 * MS)
    first = table.last_lease("one")
    table.wait(1 * MS)
    table.poll("one", topics=None, verdicts=(a_verdict(first),))
    grant = table.last_lease("one")
    assert (grant.topic, positions(grant)) == ("web", [2, 4, 6])


def test_deferred_work_keeps_to_what_a_group_may_have_out():
    table = a_table(8, drain_slice_us=SECOND, max_out=3)
    table.poll("other", handlers=5, idle=0)
    table.poll("one")
    table.wait(5 * MS)
    table.wait(1 * MS)
    table.settle(table.last_lease("one"))
    table.poll("one")
    assert len(positions(table.last_lease("one"))) == 3


# ---- the guards of a busy group -----------------------------------------------------------------


def a_busy_table(handlers: int = 4, **group) -> Table:
    """More live work than the handlers can do, and overdue deferred work."""
    table = a_table(200, max_wait_us=10 * SECOND, **group)
    table.push("app", 60_000)
    table.wait(10 * SECOND)
    return table


def work(table: Table, seconds: float, handling_us: int, handlers: int = 4) -> dict[str, int]:
    """Serial handlers that poll, work and settle without a pause; handler time by lane."""
    spent = {"live": 0, "deferred": 0}
    busy: dict[str, tuple[int, fx.Grant | None]] = {
        f"c{number}": (table.now + number, None) for number in range(handlers)
    }
    end = table.now + int(seconds * SECOND)
    while table.now < end:
        name = min(busy, key=lambda one: busy[one][0])
        table.wait(max(0, busy[name][0] - table.now))
        grant = busy[name][1]
        verdicts = () if grant is None else (a_verdict(grant),)
        answers = table.poll(name, credit=20, verdicts=verdicts)
        (grants,) = [one.leases for one in answers if one.caller.peer == name.encode()]
        assert len(grants) == 1
        took = handling_us * len(positions(grants[0]))
        spent[grants[0].lane] += took
        busy[name] = (table.now + took, grants[0])
    return spent


def test_overdue_work_gets_its_share_of_handler_time_and_no_more():
    table = a_busy_table(busy_share_ppm=50_000)
    spent = work(table, 15, 20 * MS)
    share = spent["deferred"] / (spent["live"] + spent["deferred"])
    assert 0.04 < share < 0.06


def test_without_a_share_a_busy_group_drains_nothing():
    table = a_busy_table(busy_share_ppm=0)
    spent = work(table, 10, 20 * MS)
    assert spent["deferred"] <= 20 * MS


def test_a_guarded_lease_is_alone_in_its_answer():
    table = a_busy_table()
    (answer,) = table.poll("one")
    assert lanes([answer]) == [("one", "deferred")]
    (answer,) = table.poll("two")
    assert {lane for _, lane in lanes([answer])} == {"live"}, "one guarded lease at a time"


def test_a_full_client_that_never_idles_drains_overdue_work_too():
    table = a_busy_table()
    (answer,) = table.poll("one", handlers=4, idle=0)
    assert lanes([answer]) == [("one", "deferred")]


# ---- measurement --------------------------------------------------------------------------------


def a_session(handlers: int) -> Session:
    session = Session(b"s", START)
    session.handlers = handlers
    return session


def test_the_mean_is_over_two_seconds():
    load, session = Load(START), a_session(4)
    session.live_out = 4
    load.note(session, START)
    assert load.mean(START + 1 * SECOND) == pytest.approx(4, abs=0.01)
    session.live_out = 0
    load.note(session, START + 2 * SECOND)
    assert load.mean(START + 3 * SECOND) == pytest.approx(2, abs=0.25)
    assert load.mean(START + 5 * SECOND) == 0


def test_need_is_rounded_up_from_a_fifth_over_with_hysteresis():
    load, session = Load(START), a_session(10)
    now = START

    def settled_at(busy: int, of_ten: int) -> int:
        """Two seconds of `busy` handlers, `of_ten` tenths of the time one more."""
        nonlocal now
        for number in range(40):
            session.live_out = busy + (number % 10 < of_ten)
            load.note(session, now)
            now += 100 * MS
        return load.need(now)

    assert settled_at(1, 1) == 1
    assert settled_at(1, 4) == 2
    assert settled_at(1, 1) == 2, "it does not fall at once"
    assert settled_at(0, 9) == 1
    assert settled_at(0, 0) == 0
