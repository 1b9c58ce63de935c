"""Groups: made by their first poll or an operator; where they start; what they read."""

import pytest

from laybyd.core import effects as fx
from laybyd.core import events as ev
from laybyd.core.types import Outcome
from tests.builders import (
    MS,
    SECOND,
    START,
    Table,
    a_caller,
    a_poll,
    a_verdict,
    delivered,
    positions,
    settings,
)


def test_a_poll_is_answered_only_once_the_record_of_its_group_is_committed():
    table = Table()
    table.push("app", 2)
    table.hold = {fx.Commit}
    assert table.poll(wait_ms=0) == []
    assert table.wait(SECOND) == []
    sent = table.release()
    assert delivered(sent) == [1, 2]
    assert isinstance(table.commits[0].ops[0], fx.SaveGroup)


@pytest.mark.parametrize(
    ("start", "first"),
    [("earliest", 1), (None, 1), ("latest", 7), (4, 4), (9, 7)],
    ids=str,
)
def test_a_group_starts_where_its_maker_says(start, first):
    table = Table()
    table.push("app", 6)
    table.poll(start=start, wait_ms=0)
    table.push("app", 6)
    sent = table.sent + table.poll()
    assert delivered(sent)[0] == first


def test_a_group_may_start_at_a_time():
    table = Table()
    table.push("app", 2)
    table.wait(SECOND)
    table.push("app", 2)
    sent = table.poll(start_us=START + SECOND // 2)
    assert delivered(sent) == [3, 4]


def test_requests_for_a_group_wait_while_its_start_is_looked_up():
    table = Table()
    table.push("app", 2)
    table.hold = {fx.FindTime}
    assert table.poll("one", start_us=START) == []
    assert table.poll("two") == []
    assert table.operate_later("group", group="g") == []
    sent = table.release()
    assert sorted(delivered(sent)) == [1, 2]
    assert any(isinstance(one, fx.Reply) for one in sent)


def test_the_start_counts_only_at_the_making():
    table = Table()
    table.push("app", 2)
    table.poll("one", wait_ms=0, start="latest")
    assert delivered(table.poll("two", wait_ms=0, start="earliest")) == []


def test_a_poll_may_leave_topics_out_once_the_group_is_there():
    table = Table()
    (refusal,) = table.poll("one", topics=None)
    assert (refusal.code, refusal.caller.peer) == ("unknown_group", b"one")
    table.poll("one", wait_ms=0)
    table.push("app")
    assert delivered(table.poll("two", topics=None)) == [1]


@pytest.mark.parametrize("topics", [("app", "web"), ("web",), ("app*",)])
def test_another_subscription_is_refused_and_names_the_verb(topics):
    table = Table()
    table.poll("one", wait_ms=0)
    (refusal,) = table.poll("two", topics=topics)
    assert refusal.code == "subscription_differs"
    assert "layby groups set g" in refusal.text


def test_the_order_of_topics_in_a_poll_does_not_matter():
    table = Table()
    table.poll("one", topics=("app", "web"), wait_ms=0)
    table.push("web")
    assert delivered(table.poll("two", topics=("web", "app"))) == [1]


def test_a_topic_made_later_joins_pattern_groups_from_its_first_message():
    table = Table()
    table.poll(topics=("app.*",))
    table.push("web", 3)
    table.push("app.new", 2)
    assert delivered(table.sent) == [4, 5]


@pytest.mark.parametrize(
    ("pattern", "topic", "meant"),
    [
        ("*", "app", True),
        ("*", "layby.bench.1", False),
        ("layby.*", "layby.bench.1", True),
        ("a*c", "a.b.c", True),
        ("a*c", "a.b.d", False),
        ("app", "app", True),
        ("app", "app2", False),
    ],
)
def test_only_a_star_is_special_and_reserved_names_must_be_begun(pattern, topic, meant):
    table = Table()
    table.poll(topics=(pattern,))
    table.push(topic)
    assert bool(delivered(table.sent)) is meant


def test_there_are_no_more_groups_than_allowed():
    table = Table(settings(groups_max=1))
    table.poll()
    (refusal,) = table.step(a_poll("two", group="other"))
    assert refusal.code == "over_limit"


def test_a_group_may_be_made_by_an_operator_with_settings_of_its_own():
    table = Table()
    table.push("app", 3)
    made = table.operate("group_create", group="g", topics=("app",), settings={"lease_us": SECOND})
    assert isinstance(made, fx.Reply)
    assert table.group()["settings"]["lease_us"] == SECOND
    assert table.lease().lease_ms == 1_000
    unknown = table.operate("group_create", group="h", topics=("web",), settings={"colour": 1})
    assert unknown.code == "bad_request"


MADE = {"topics": ("app", "web"), "settings": {"lease_us": SECOND}, "start": 3}


@pytest.mark.parametrize(
    "alike",
    [
        {},
        {"topics": ("web", "app")},
        {"settings": {}},
        {"settings": {"max_attempts": 6}},
        {"start": None},
        {"start": "latest"},
    ],
    ids=str,
)
def test_making_a_group_again_is_no_fault(alike):
    table = Table()
    table.push("app", 5)
    table.operate("group_create", group="g", **MADE)
    assert isinstance(table.operate("group_create", group="g", **(MADE | alike)), fx.Reply)


@pytest.mark.parametrize(
    "other",
    [{"topics": ("app",)}, {"settings": {"lease_us": 2 * SECOND}}, {"start": 2}, {"start": 4}],
    ids=str,
)
def test_making_a_group_again_otherwise_is_refused(other):
    table = Table()
    table.push("app", 5)
    table.operate("group_create", group="g", **MADE)
    before = table.group()
    refusal = table.operate("group_create", group="g", **(MADE | other))
    assert refusal.code == "conflict"
    assert "layby groups" in refusal.text
    assert table.group() == before


def test_a_group_that_was_to_start_before_the_log_is_made_again_alike():
    table = Table()
    table.push("app", 5)
    table.settle(table.lease())
    table.wait(2 * SECOND)
    table.step(ev.Trimmed(6, ()))
    for _ in range(2):
        made = table.operate("group_create", group="h", topics=("app",), start=2)
        assert isinstance(made, fx.Reply)
    assert table.group("h")["start"] == 6


def test_a_position_beyond_the_end_is_the_end_and_asked_again_it_says_where_that_was():
    table = Table()
    table.push("app", 3)
    made = table.operate("group_create", group="h", topics=("app",), start=50)
    assert isinstance(made, fx.Reply)
    assert table.group("h")["start"] == 4
    again = table.operate("group_create", group="h", topics=("app",), start=50)
    assert isinstance(again, fx.Refuse)
    assert (again.code, "starts at 4;" in again.text) == ("conflict", True)


def test_a_changed_subscription_counts_from_where_the_group_stands():
    table = Table()
    table.push("web", 2)
    table.push("app", 2)
    table.poll("one", topics=("app", "web"), wait_ms=0, credit=2)
    table.operate("group_set", group="g", topics=("app", "new"))
    assert delivered(table.poll("two", topics=None)) == [3, 4]
    table.push("new", 1)
    table.push("web", 1)
    assert delivered(table.poll("two", topics=None)) == [5]
    table.settle(table.last_lease("one"), (1, 2))
    assert table.group()["topics"] == ["app", "new"]


def test_changed_settings_survive_a_restart():
    table = Table()
    table.poll()
    table.operate("group_set", group="g", settings={"lease_us": 5 * SECOND})
    table.operate("group_set", group="g", settings={"max_attempts": 2})
    table.restart()
    shown = table.group()["settings"]
    assert (shown["lease_us"], shown["max_attempts"]) == (5 * SECOND, 2)


def test_fewer_leases_are_for_who_waits_already_too():
    table = Table(settings({"idle_after_us": 0}))
    table.push("app", 2)
    held = table.lease("one", credit=1, handlers=9)
    table.settle(table.lease("two", credit=1), outcome=Outcome.DEFER, delay_ms=1_000)
    table.poll("one", wait_ms=30_000, handlers=9, idle=7)
    table.operate("group_set", group="g", settings={"leases_per_session": 1})
    assert delivered(table.wait(5 * SECOND)) == []
    table.settle(held)
    table.wait(SECOND)
    assert positions(table.last_lease("one")) == [2]


def test_a_deleted_group_answers_its_polls_and_frees_everything():
    table = Table()
    table.push("app", 4)
    grant = table.lease("one", credit=2)
    table.settle(grant, (1, 1), outcome=Outcome.FAIL)
    table.poll("two", credit=2)
    table.poll("three")
    sent = table.step(ev.Operate(a_caller("operator"), "group_delete", {"group": "g"}))
    why = {one.caller.peer: one.why for one in sent if isinstance(one, fx.Deliver)}
    assert why == {b"three": "deleted"}
    assert any(isinstance(one, fx.Reply) for one in sent)
    assert table.state.groups == {}
    assert table.state.bodies == set()
    verdict = a_verdict(grant, (2, 2))
    (refusal,) = table.step(ev.Settle(a_caller(), "g", (verdict,)))
    assert refusal.code == "unknown_group"


def test_a_number_is_never_used_for_a_second_group():
    table = Table()
    table.poll("one")
    old = table.broker.gid_of("g")
    table.operate("group_delete", group="g")
    assert table.broker.gid_of("g") == 0
    table.poll("one", n=1)
    assert table.broker.gid_of("g") > old


def test_late_answers_for_a_deleted_group_are_ignored():
    table = Table()
    table.push("app", 1)
    table.hold = {fx.LoadRows}
    table.poll("one")
    table.operate("group_delete", group="g")
    assert [one for one in table.release() if isinstance(one, fx.Deliver)] == []


def test_a_verb_for_an_unknown_group_is_refused():
    table = Table()
    for verb in ("group", "group_set", "group_delete"):
        assert table.operate(verb, group="nobody").code == "unknown_group"
    for verb in ("parked", "retry", "drop"):
        refusal = table.operate(verb, group="nobody", lane="dead", ranges=((1, 1),))
        assert refusal.code == "unknown_group"
    assert table.operate("sing").code == "unknown_op"
    assert table.wait(10 * MS) == []
