"""Operators' verbs: looking, retrying, dropping, deleting."""

import pytest

from laybyd.core import effects as fx
from laybyd.core import events as ev
from laybyd.core import operate
from laybyd.core.types import Outcome
from tests.builders import MS, SECOND, START, Table, a_caller, delivered, positions, settings

GROUP = {"backoff_us": (60 * SECOND,), "max_attempts": 2}


def a_table(messages: int = 6, lane: str = "deferred", **core) -> Table:
    table = Table(settings(GROUP, **core))
    table.push("app", messages)
    grant = table.lease("maker")
    outcome = Outcome.FAIL if lane == "deferred" else Outcome.REJECT
    for at in range(1, messages + 1):
        table.settle(grant, (at, at), outcome=outcome, reason="bad")
    return table


def change(table: Table, verb: str, lane: str, *ranges) -> tuple[int, list]:
    reply = table.operate(verb, group="g", lane=lane, ranges=ranges)
    return reply.fields["done"], reply.fields["missing"]


def test_status_counts_what_there_is():
    table = a_table(3)
    table.push("web", 1)
    fields = table.operate("status").fields
    wanted = {"state": "serving", "topics": 2, "groups": 1, "sessions": 1, "deferred": 3, "dead": 0}
    assert {key: fields[key] for key in wanted} == wanted
    assert fields["uptime_ms"] == (table.now - START) // 1_000 - 5


def test_topics_come_in_pages():
    table = Table()
    for name in ("c", "a", "b"):
        table.push(name, 2, size=50)
    table.poll(topics=("a", "c"))
    first = table.operate("topics", limit=2).fields
    assert [(one["name"], one["groups"]) for one in first["topics"]] == [("a", 1), ("b", 0)]
    assert first["more"]
    rest = table.operate("topics", after="b").fields
    assert rest["topics"] == [
        {"name": "c", "first": 1, "last": 2, "messages": 2, "bytes": 50, "last_us": START}
        | {"groups": 1}
    ]
    assert not rest["more"]


def test_groups_come_in_pages():
    table = Table()
    for name in ("b", "a"):
        table.operate("group_create", group=name, topics=("app",))
    page = table.operate("groups", limit=1).fields
    assert ([one["name"] for one in page["groups"]], page["more"]) == (["a"], True)
    table.push("app", 3)
    (one,) = table.operate("groups", after="a").fields["groups"]
    assert (one["waiting"], one["floor"], one["out"]) == (3, 1, 0)


def test_parked_messages_are_listed_with_their_histories():
    table = a_table()
    fields = table.operate("parked", group="g", lane="deferred", limit=2).fields
    assert [(one["from"], one["to"]) for one in fields["parked"]] == [(1, 1), (2, 2)]
    assert fields["more"]
    assert fields["parked"][0]["history"][0]["reason"] == "bad"
    rest = table.operate("parked", group="g", lane="deferred", after=2, ranges=((3, 4),)).fields
    assert [one["from"] for one in rest["parked"]] == [3, 4]


def test_parked_bodies_come_at_most_sixteen_at_a_time():
    table = a_table(20)
    reply = table.operate("parked", group="g", lane="deferred", limit=100, bodies=True)
    assert (len(reply.blocks), len(reply.fields["parked"])) == (16, 16)
    gid, lane, record = reply.blocks[0]
    assert (gid, lane, record.first) == (1, "deferred", 1)


def test_dead_messages_are_retried_at_once_as_a_new_generation():
    table = a_table(3, "dead")
    assert change(table, "retry", "dead", (1, 2), (9, 9)) == (2, [(9, 9)])
    assert (table.parked("deferred"), table.parked("dead")) == ([(1, 1), (2, 2)], [(3, 3)])
    assert (table.record(1).generation, table.record(1).attempts) == (1, 0)
    table.poll("one")
    table.wait(SECOND)
    assert positions(table.last_lease("one")) == [1]


def test_a_message_that_died_of_its_failures_begins_anew():
    table = Table(settings(GROUP | {"max_attempts": 1}))
    table.push("app", 1)
    table.settle(table.lease("maker"), (1, 1), outcome=Outcome.FAIL)
    assert table.record(1, "dead").attempts == 1
    assert change(table, "retry", "dead", (1, 1)) == (1, [])
    assert (table.record(1).generation, table.record(1).attempts) == (1, 0)


def test_deferred_messages_are_retried_at_once():
    table = a_table(2)
    assert change(table, "retry", "deferred", (2, 2)) == (1, [])
    table.poll("one")
    assert delivered(table.wait(SECOND)) == [2]


@pytest.mark.parametrize("lane", ["deferred", "dead"])
def test_dropped_messages_are_gone_with_their_bytes(lane):
    table = a_table(4, lane)
    assert change(table, "drop", lane, (1, 3)) == (3, [])
    assert table.parked(lane) == [(4, 4)]
    assert table.state.bodies == {(1, 4)}
    assert change(table, "drop", lane, (1, 3)) == (0, [(1, 3)])


def test_a_part_of_a_range_can_be_dropped():
    table = Table()
    table.push("app", 6)
    table.settle(table.lease(), outcome=Outcome.REJECT)
    assert change(table, "drop", "dead", (3, 4)) == (2, [])
    assert table.parked("dead") == [(1, 2), (5, 6)]
    assert table.state.bodies == {(1, 1), (1, 5)}


@pytest.mark.parametrize("verb", ["retry", "drop"])
def test_several_parts_of_one_range_can_be_changed_at_once(verb):
    table = Table()
    table.push("app", 10)
    table.settle(table.lease(), outcome=Outcome.REJECT)
    assert change(table, verb, "dead", (1, 1), (3, 3), (11, 11)) == (2, [(11, 11)])
    assert table.parked("dead") == [(2, 2), (4, 10)]
    assert table.parked("deferred") == ([(1, 1), (3, 3)] if verb == "retry" else [])
    shown = table.group()
    assert (shown["dead"], shown["deferred"]) == (8, 2 if verb == "retry" else 0)


def test_what_is_being_handled_counts_as_missing():
    table = a_table(2)
    change(table, "retry", "deferred", (1, 2))
    table.poll("one", credit=1)
    table.wait(SECOND)
    assert change(table, "drop", "deferred", (1, 2)) == (1, [(1, 1)])
    assert table.settle(table.last_lease("one")) == []


def test_more_than_one_page_of_records_is_changed():
    table = Table(settings(GROUP))
    table.push("app", 2_500)
    grant = table.lease(credit=2_500, credit_bytes=1 << 30)
    for at in range(1, 2_501):
        table.step(ev.Settle(a_caller(), "g", (_reject(grant, at),)))
    table.wait(10 * MS)
    assert change(table, "drop", "dead", (1, 2_600)) == (2_500, [(2_501, 2_600)])


def _reject(grant, at):
    from tests.builders import a_verdict

    return a_verdict(grant, (at, at), outcome=Outcome.REJECT)


def test_a_deleted_topic_is_gone_for_everybody_and_may_come_again():
    table = Table()
    table.push("app", 2)
    table.push("web", 2)
    grant = table.lease("one", topics=("app", "web"), credit=1)
    assert isinstance(table.operate("topic_delete", topic="app"), fx.Reply)
    assert [one["name"] for one in table.operate("topics").fields["topics"]] == ["web"]
    assert table.operate("topic_delete", topic="app").code == "unknown_topic"
    table.push("app", 1)
    assert delivered(table.poll("one", topics=None)) == [3, 4, 5]
    assert table.settle(grant) == [], "what was out is settled as ever"
    assert table.group()["floor"] == 3
    assert table.state.forgotten == {"app": 5}


def test_a_deleted_topic_is_forgotten_once_nothing_of_it_can_come_again():
    table = Table(settings(GROUP))
    table.push("app", 2)
    grant = table.lease()
    table.settle(grant, (1, 1))
    table.settle(grant, (2, 2), outcome=Outcome.REJECT)
    table.push("web", 1)
    table.operate("topic_delete", topic="app")
    table.step(ev.Trimmed(2, ()))
    assert table.state.forgotten == {"app": 4}, "the log has some of it"
    table.step(ev.Trimmed(4, ()))
    assert table.state.forgotten == {"app": 4}, "one of it is dead, and may be retried"
    assert change(table, "drop", "dead", (2, 2)) == (1, [])
    table.step(ev.Trimmed(4, ()))
    assert table.state.forgotten == {}
    table.restart()
    table.step(ev.Trimmed(4, ()))
    assert table.state.forgotten == {}


def test_so_many_deleted_topics_may_be_remembered(monkeypatch):
    monkeypatch.setattr(operate, "FORGOTTEN_MAX", 1)
    table = Table()
    table.push("app", 1)
    assert isinstance(table.operate("topic_delete", topic="app"), fx.Reply)
    table.push("web", 1)
    assert table.operate("topic_delete", topic="web").code == "over_limit"
    table.step(ev.Trimmed(2, ()))
    assert isinstance(table.operate("topic_delete", topic="web"), fx.Reply)


def test_what_comes_back_of_a_deleted_topic_is_dropped():
    table = Table(settings({"lease_us": 10 * SECOND, "backoff_us": (1 * SECOND,)}))
    table.push("app", 4)
    grant = table.lease("one", credit=2)
    table.settle(grant, (1, 1), outcome=Outcome.FAIL)
    table.extend("one")
    table.operate("topic_delete", topic="app")
    table.wait(11 * SECOND)
    shown = table.group()
    assert (shown["waiting"], shown["out"], shown["deferred"], shown["floor"]) == (0, 0, 0, 5)
    assert delivered(table.poll("two")) == []


def test_what_is_deferred_of_a_deleted_topic_that_is_not_read_any_more_is_dropped():
    table = Table(settings({"backoff_us": (1 * SECOND,)}))
    table.push("app", 2)
    grant = table.lease("one", topics=("app", "web"))
    table.settle(grant, (1, 1), outcome=Outcome.FAIL)
    table.operate("group_set", group="g", topics=("web",))
    table.operate("topic_delete", topic="app")
    table.wait(2 * SECOND)
    assert delivered(table.poll("two", topics=None)) == []
    shown = table.group()
    assert (shown["out"], shown["deferred"]) == (1, 0)


@pytest.mark.parametrize("lane", ["live", "deferred"])
@pytest.mark.parametrize("end", ["fail", "defer", "release", "started", "silence", "unheard"])
def test_what_was_out_of_a_deleted_topic_never_comes_again(lane, end):
    table = Table(settings({"lease_us": 10 * SECOND, "backoff_us": (1 * SECOND,)}))
    table.push("app", 1)
    if lane == "deferred":
        table.settle(table.lease("one"), outcome=Outcome.DEFER, delay_ms=0)
    table.poll("one")
    table.wait(SECOND)
    grant = table.last_lease("one")
    assert grant.lane == lane
    table.operate("topic_delete", topic="app")
    if end in ("fail", "defer", "release"):
        table.settle(grant, outcome=Outcome(end), delay_ms=1, started=False)
    elif end == "started":
        table.settle(grant, outcome=Outcome.RELEASE)
    elif end == "unheard":
        table.step(ev.Undelivered(a_caller("one"), "g", (grant.lease,)))
    table.wait(20 * SECOND)
    shown = table.group()
    assert (shown["waiting"], shown["out"], shown["deferred"], shown["floor"]) == (0, 0, 0, 2)
    assert delivered(table.poll("two") + table.wait(20 * SECOND)) == []
    assert table.state.bodies == set()


def test_rows_of_a_deleted_topic_may_be_told_of_later():
    table = Table()
    table.push("app", 2)
    row = table.row("app", 2, 20)
    table.step(ev.RowsLoaded(("window", 0), 1, tuple(table.rows), 5))
    table.operate("topic_delete", topic="app")
    table.step(ev.NewRows((row,)))
    assert table.state.forgotten == {"app": 5}
    assert table.operate("topics").fields["topics"] == []


def test_a_deleted_topic_stays_deleted_after_a_restart():
    table = Table()
    table.push("app", 4)
    table.poll("one", wait_ms=0, credit=0)
    table.operate("topic_delete", topic="app")
    table.restart()
    table.wait(SECOND)
    assert table.operate("topics").fields["topics"] == []
    assert delivered(table.poll("two")) == []


@pytest.mark.parametrize("verb", ["parked", "retry"])
def test_who_looks_into_a_group_that_is_deleted_meanwhile_is_told(verb):
    table = a_table(2, "dead")
    table.hold = {fx.FindParked}
    assert table.operate_later(verb, group="g", lane="dead", ranges=((1, 1),)) == []
    assert isinstance(table.operate("group_delete", group="g"), fx.Reply)
    (refusal,) = table.release()
    assert refusal.code == "unknown_group"
