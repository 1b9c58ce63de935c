"""The journal: when state is committed, who waits for it, and what the log may forget."""

import pytest

from laybyd.core import effects as fx
from laybyd.core import events as ev
from laybyd.core.types import Outcome
from tests.builders import MS, SECOND, Table, a_caller, a_verdict, delivered, settings


def a_settle(grant, *ranges, **fields) -> ev.Settle:
    return ev.Settle(a_caller(), "g", (a_verdict(grant, *ranges, **fields),))


def since(table: Table, before: int) -> list[fx.StateOp]:
    return [op for commit in table.commits[before:] for op in commit.ops]


def test_settles_gather_for_settle_flush():
    table = Table()
    table.push("app", 10)
    grant = table.lease()
    before = len(table.commits)
    for at in range(1, 6):
        table.step(a_settle(grant, (at, at)))
        table.wait(900)
    assert len(table.commits) == before
    sent = table.wait(1 * MS)
    assert since(table, before) == [fx.Delta(1, 1, ((1, 5),))]
    assert len(sent) == 5, "answers leave after the commit"


def test_many_settles_are_flushed_at_once():
    table = Table(settings(settle_flush_deltas=3))
    table.push("app", 10)
    grant = table.lease()
    before = len(table.commits)
    for at in (1, 3, 5):
        table.step(a_settle(grant, (at, at)))
    assert since(table, before) == [fx.Delta(1, 1, ((1, 1), (3, 3), (5, 5)))]


def test_a_settle_takes_effect_at_once():
    table = Table()
    table.push("app", 2)
    table.step(a_settle(table.lease()))
    assert table.broker._groups.get("g").parts.floor.position == 3


def test_deferring_is_one_commit_of_range_record_bytes_and_account():
    table = Table()
    table.push("app", 3)
    grant = table.lease()
    before = len(table.commits)
    table.settle(grant, (2, 2), outcome=Outcome.FAIL)
    (commit,) = table.commits[before:]
    kinds = [type(op).__name__ for op in commit.ops]
    assert kinds == ["Delta", "Park", "Account"]
    assert commit.ops[1].body[0][:3] == (2, 2, 1)


def test_commits_may_be_under_way_together_and_each_frees_its_own_answers():
    table = Table()
    table.push("app", 3)
    grant = table.lease()
    table.hold = {fx.Commit}
    for at in (1, 2):
        table.step(a_settle(grant, (at, at)))
        table.wait(10 * MS)
    first, second = table.held
    table.held = []
    assert len(table.take(table.broker.step(ev.Committed(first.token), table.now))) == 1
    assert len(table.take(table.broker.step(ev.Committed(second.token), table.now))) == 1


def test_deltas_are_folded_into_a_snapshot():
    table = Table(settings(settle_flush_us=1))
    table.push("app", 1_000)
    grant = table.lease(credit=1_000)
    before = len(table.commits)
    for at in range(1, 601, 2):
        table.settle(grant, (at, at))
    kinds = [type(op).__name__ for op in since(table, before)]
    assert kinds.count("Snapshot") == 1
    assert kinds.index("Snapshot") == 256
    (snapshot,) = [op for op in since(table, before) if isinstance(op, fx.Snapshot)]
    assert (snapshot.floor, snapshot.number) == (2, 257)


def test_what_was_put_in_a_batch_is_committed_before_it_is_cut():
    table = Table(settings({"lease_us": 60 * SECOND}))
    table.push("app", 4)
    table.settle(table.lease("one"), outcome=Outcome.DEFER, delay_ms=0)
    table.poll("one")
    table.wait(SECOND)
    grant = table.last_lease("one")
    for at in (2, 3):  # both in one flush window; the store checks what bodies are cut from
        table.step(a_settle(grant, (at, at), outcome=Outcome.FAIL))
    assert table.parked() == [(1, 1), (2, 2), (3, 3), (4, 4)]
    assert table.state.bodies == {(1, at) for at in (1, 2, 3, 4)}


# ---- what the log may forget --------------------------------------------------------------------


def test_the_log_is_trimmed_below_the_lowest_committed_floor():
    table = Table()
    table.push("app", 10)
    table.poll("one", credit=4)
    table.step(ev.Settle(a_caller(), "g", (a_verdict(table.last_lease("one"), (1, 4)),)))
    table.hold = {fx.Commit}
    table.wait(2 * SECOND)
    assert table.trims == [], "only what is committed counts"
    table.hold = set()
    table.release()
    table.wait(SECOND)
    assert table.trims == [5]


def test_trims_are_asked_for_about_once_a_second():
    table = Table()
    table.push("app", 100)
    for _ in range(100):
        table.settle(table.lease(credit=1))
        table.wait(50 * MS)
    assert 3 <= len(table.trims) <= 8
    assert table.trims == sorted(table.trims)


def test_the_slowest_group_pins_the_log_until_it_is_deleted():
    table = Table()
    table.push("app", 4)
    table.step(ev.Operate(a_caller(), "group_create", {"group": "slow", "topics": ("app",)}))
    table.settle(table.lease())
    table.wait(2 * SECOND)
    assert table.trims == []
    assert table.operate("status").fields["pins"] == "group slow needs the log from 1"
    table.operate("group_delete", group="slow")
    table.wait(2 * SECOND)
    assert table.trims == [5]


@pytest.mark.parametrize(
    ("first", "verb", "args"),
    [
        ({"slow": "web", "done": "*"}, "group_delete", {"group": "slow"}),
        ({}, "topic_delete", {"topic": "web"}),
        ({}, "group_create", {"group": "done", "topics": ("web",), "start": "latest"}),
        ({"done": "app"}, "group_set", {"group": "done", "topics": ("web",)}),
    ],
    ids=str,
)
def test_the_log_is_trimmed_once_it_is_durable_that_nobody_needs_it(first, verb, args):
    table = Table()
    table.push("web", 4)
    for group, topic in first.items():
        start = "latest" if group == "done" else "earliest"
        table.operate("group_create", group=group, topics=(topic,), start=start)
    table.wait(2 * SECOND)
    table.hold = {fx.Commit}
    assert table.operate_later(verb, **args) == []
    table.wait(2 * SECOND)
    table.step(ev.Space(log_full=True, state_full=False, used=9, limit=10))
    assert table.trims == []
    table.release()
    table.wait(2 * SECOND)
    assert table.trims == [5]


def test_topics_without_groups_are_kept():
    table = Table()
    table.push("app", 4)
    table.push("web", 4)
    table.push("app", 4)
    for _ in range(3):
        table.poll("one")
    for commit in list(table.sent):
        for grant in getattr(commit, "leases", ()):
            table.settle(grant)
    table.wait(3 * SECOND)
    assert table.trims == [5]
    assert "topic web is kept from 5" in table.operate("status").fields["pins"]


def test_a_full_store_names_what_pins_it():
    table = Table()
    table.push("app", 4)
    table.poll("one")
    table.step(ev.Space(log_full=True, state_full=False, used=9, limit=10))
    push = ev.Push(a_caller("producer"), "app", b"x", 1, 1, 0, False)
    (refusal,) = table.step(push)
    assert refusal.code == "store_full"
    assert "group g needs the log from 1" in refusal.text
    table.step(ev.Space(log_full=True, state_full=False, used=9, limit=10, disk_full=True))
    (refusal,) = table.step(push)
    assert "the disk" in refusal.text
    assert "group g" not in refusal.text
    table.step(ev.Space(log_full=False, state_full=False, used=1, limit=10))
    (reply,) = table.step(push)
    assert reply.fields == {"first": 5, "count": 1}


def test_trimmed_topics_are_forgotten():
    table = Table()
    table.push("app", 4)
    table.push("web", 4)
    table.log_start = 5
    table.step(ev.Trimmed(5, tuple(table.topic_states())))
    listed = table.operate("topics").fields["topics"]
    assert [(one["name"], one["first"]) for one in listed] == [("web", 5)]


def test_news_of_a_trim_is_as_old_as_the_trim():
    table = Table()
    table.push("gone", 4)
    table.push("app", 4)
    table.log_start = 5
    old = ev.Trimmed(5, tuple(table.topic_states()))
    table.push("app", 2)
    table.push("new", 1)
    table.push("gone", 1)
    table.step(old)
    listed = table.operate("topics").fields["topics"]
    shown = [(one["name"], one["first"], one["last"], one["messages"]) for one in listed]
    assert shown == [("app", 5, 10, 6), ("gone", 5, 12, 5), ("new", 11, 11, 1)]


# ---- restarts -------------------------------------------------------------------------------


def test_attempts_and_due_times_survive_a_restart():
    table = Table(settings({"backoff_us": (10 * SECOND,)}))
    table.push("app", 2)
    table.settle(table.lease(), (1, 1), outcome=Outcome.FAIL)
    table.wait(4 * SECOND)
    table.restart()
    table.poll("two", n=1, credit=1)
    table.wait(SECOND)
    table.settle(table.last_lease("two"))
    table.poll("two", n=2, credit=1)
    assert delivered(table.wait(4_900 * MS)) == []
    assert delivered(table.wait(200 * MS)) == [1]
    grant = table.last_lease("two")
    assert (grant.attempts, grant.deliveries) == ((1,), ())


def test_what_was_not_committed_is_handed_out_again_after_a_crash():
    table = Table()
    table.push("app", 4)
    grant = table.lease()
    table.settle(grant, (1, 2))
    table.hold = {fx.Commit}
    table.step(a_settle(grant, (3, 4)))
    table.wait(10 * MS)
    table.hold = set()
    table.restart(crash=True)
    table.wait(SECOND)
    assert delivered(table.poll("two", n=1)) == [3, 4]


def test_grants_and_lease_ids_of_boots_cannot_be_mixed_up():
    table = Table()
    table.push("app", 4)
    old = table.lease("one", credit=1)
    table.restart()
    table.wait(SECOND)
    new = table.lease("two", credit=1)
    assert old.lease[:4] == b"\0\0\0\x01"
    assert new.lease[:4] == b"\0\0\0\x02"
    assert new.number == 1


def test_a_million_deferred_messages_do_not_live_in_memory():
    table = Table(settings({"lease_us": 60 * SECOND}, head_records=10))
    table.push("app", 200)
    for at in range(200):
        table.settle(table.lease(credit=1), outcome=Outcome.FAIL, reason=f"no {at}")
    head = table.broker._groups.get("g").parts.deferred
    assert len(head.waiting()) <= 20
    table.restart()
    table.wait(SECOND)
    head = table.broker._groups.get("g").parts.deferred
    assert len(head.waiting()) <= 20
    assert table.group()["deferred"] == 200
    for number in range(1, 301):
        table.poll("x", n=number)
        table.wait(11 * SECOND)
        table.settle(table.last_lease("x"))
        assert len(head.waiting()) <= 20
        if not table.group()["deferred"]:
            break
    assert sorted({at for at in delivered(table.sent) if at}) == list(range(1, 201))
    assert table.parked() == []


def test_a_new_group_begins_where_the_log_really_begins_though_nobody_needs_it():
    table = Table()
    table.push("app", 4)
    table.settle(table.lease())
    table.wait(2 * SECOND)
    assert table.trims == [5]
    table.operate("group_create", group="meanwhile", topics=("app",))
    table.step(ev.Trimmed(1, tuple(table.topic_states())))
    table.operate("group_create", group="later", topics=("app",))
    starts = [table.operate("group", group=name).fields["start"] for name in ("meanwhile", "later")]
    assert starts == [5, 1]


def test_a_full_log_is_asked_again_for_what_the_store_had_kept():
    table = Table()
    table.push("app", 4)
    table.settle(table.lease())
    table.wait(2 * SECOND)
    table.step(ev.Trimmed(1, tuple(table.topic_states())))
    assert table.trims == [5]
    table.step(ev.Space(log_full=True, state_full=False, used=10, limit=10))
    assert table.trims == [5, 5]
