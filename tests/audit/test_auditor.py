"""Each promise with a history that keeps it and one that breaks it; only that one is named."""

from __future__ import annotations

import pytest

from tests.audit import ending, grants, holding, log
from tests.audit.told import Told


def test_a_quiet_run_keeps_all_promises():
    told = Told().pushed(3)
    told.writer.event("limits", max_attempts=3, max_out=9, leases_per_session=2, seen_within_ms=900)
    told.settle("a", told.poll("a", told.lease(1, 2, 3)), 1, 2, 3)
    told.counted()
    told.writer.event("end", drained=True)
    account = told.account()
    assert account.faults == []
    assert (account.pushed, account.settled, account.boots, account.lines) == (3, 3, 1, 10)


def test_an_empty_history_is_right():
    assert Told().broken() == set()


# ---- the log


class TestLog:
    def test_a_push_of_unknown_outcome_may_be_there_or_not(self):
        told = Told()
        told.call("p", "push", None, topic="app", data=["m1"])
        told.call("p", "push", None, topic="app", data=["m2"])
        told.poll("a", told.lease(1))
        assert told.broken() == set()
        assert (told.account().unknown, told.account().recovered) == (2, 1)

    def test_one_push_at_two_positions(self):
        told = Told().pushed(1)
        told.poll("a", told.lease(1), told.lease(2, data=["m1"]))
        assert told.broken() == {log.ONCE}

    def test_two_pushes_of_the_same_bytes_may_be_at_two(self):
        told = Told().pushed(1)
        told.call("p", "push", None, topic="app", data=["m1"])
        told.poll("a", told.lease(1), told.lease(2, data=["m1"]))
        assert told.broken() == set()

    def test_one_position_for_two_pushes(self):
        told = Told().pushed(1)
        told.push("other", first=1)
        assert log.ONCE in told.broken()

    def test_other_bytes(self):
        told = Told().pushed(2)
        told.poll("a", told.lease(2, data=["m1"]))
        assert log.BYTES in told.broken()

    def test_another_topic(self):
        told = Told().pushed(1)
        told.poll("a", told.lease(1, topic="web"))
        assert told.broken() == {log.BYTES}

    def test_bytes_that_nobody_pushed(self):
        told = Told().pushed(1)
        told.poll("a", told.lease(2))
        assert told.broken() == {log.BYTES}

    def test_a_refused_push_that_is_seen(self):
        told = Told()
        told.call("p", "push", {"code": "busy"}, topic="app", data=["m1"])
        assert told.broken() == set()
        told.poll("a", told.lease(1))
        assert told.broken() == {log.REFUSED}

    def test_a_producers_pushes_out_of_order(self):
        told = Told()
        told.push("m2", first=2, producer="aa", seq=1)
        told.push("m3", first=3, producer="aa", seq=2)
        assert told.broken() == set()
        told.push("m1", first=1, producer="aa", seq=3)
        assert told.broken() == {log.IN_ORDER}

    def test_a_hole_in_a_producers_pushes(self):
        told = Told()
        fields = {"topic": "app", "data": ["m1"], "producer": "aa", "seq": 1}
        told.call("p", "push", {"code": "store_full"}, **fields)
        told.push("m2", first=1, producer="aa", seq=2)
        assert told.broken() == {log.IN_ORDER}

    @pytest.mark.parametrize(
        ("first", "start", "promises"),
        [(1, {}, set()), (2, {"start": 1}, {log.LOST}), (2, {"start": 2}, set()), (2, {}, set())],
        ids=["there", "gone", "trimmed", "perhaps trimmed"],
    )
    def test_a_read_lacks_what_was_confirmed(self, first: int, start: dict, promises: set[str]):
        told = Told().pushed(2).at(10)
        data = [f"m{at}" for at in range(first, 3)]
        answer = {"blocks": [{"topic": "app", "ranges": [first, 2], "data": data}], "next": 3}
        told.call("r", "read", answer | start, topics=["*"], **{"from": 1})
        assert told.broken() == promises

    def test_a_log_with_a_hole(self):
        told = Told()
        told.call("p", "push", None, topic="app", data=["m1", "m3"])
        blocks = [{"topic": "app", "ranges": [1, 1, 3, 3], "data": ["m1", "m3"]}]
        told.call("r", "read", {"blocks": blocks, "next": 4}, topics=["*"], **{"from": 1})
        assert told.broken() == {log.DENSE}


# ---- holding


class TestHolder:
    def test_a_second_holder_while_the_first_lease_lasts(self):
        told = Told().pushed(1)
        told.poll("a", told.lease(1))
        told.at(900).poll("b", told.lease(1, deliveries=[2]))
        assert told.broken() == {holding.HOLDER}

    def test_a_second_holder_when_the_first_lease_may_be_over(self):
        told = Told().pushed(1)
        told.poll("a", told.lease(1))
        told.at(1_001).poll("b", told.lease(1, deliveries=[2]))
        assert told.broken() == set()

    def test_a_report_that_was_answered_in_time_keeps_the_lease(self):
        told = Told().pushed(1)
        who = {"group": "g", "session": "aa"}
        told.poll("a", told.lease(1), session="aa", n=1, got=0)
        told.lines[-1]["n"] = 1
        told.at(800).call("a", "extend", {}, working=[], hold=[], **who)
        told.at(1_500).poll("b", told.lease(1, deliveries=[2]))
        assert told.broken() == {holding.HOLDER}

    @pytest.mark.parametrize("how", ["outcome", "goodbye", "unheard", "stuck", "boot"])
    def test_a_lease_that_its_holder_may_have_ended(self, how: str):
        told = Told().pushed(1)
        who = {"group": "g", "session": "aa"}
        told.writer.event("limits", max_handling_ms=100)
        lease = told.poll("a", told.lease(1), session="aa", n=1, got=0)
        told.lines[-1]["n"] = 1
        if how == "outcome":
            told.settle("a", lease, 1, outcome="release", answer=None)
        elif how == "goodbye":
            told.call("a", "goodbye", None, **who)
        elif how == "unheard":
            told.call("a", "poll", None, n=2, got=0, messages=9, **who)
        elif how == "stuck":
            told.call("a", "extend", None, working=[[1, 1, 0]], hold=[], **who)
        else:
            told.restart()
        told.at(200).poll("b", told.lease(1, deliveries=[2] if how != "boot" else None))
        assert told.broken() == set()

    def test_a_parked_poll_may_have_been_answered_long_after_it_was_sent(self):
        """Its lease then lasts longer than its sending tells; that is no accusation either."""
        told = Told().pushed(1)
        told.poll("a", told.lease(1))
        call = told.writer.invoke("b", "poll", group="g", topics=["*"], messages=9)
        told.at(2_000)
        told.writer.ok(call, boot=1, leases=[told.lease(1, deliveries=[2])], refused=[])
        assert told.broken() == set()

    @pytest.mark.parametrize("how", ["given up", "left"])
    def test_an_answer_that_came_too_late_is_no_hold(self, how: str):
        """The next poll said that it was not heard, and brought the message again."""
        told = Told().pushed(1)
        asked = {"group": "g", "session": "aa", "n": 1, "got": 0, "messages": 9}
        call = told.writer.invoke("a", "poll", **asked)
        if how == "left":
            told.call("a", "goodbye", {}, group="g", session="aa")
        late, again = told.lease(1), told.lease(1, deliveries=[2])
        told.poll("a", again, session="aa" if how == "given up" else "bb", n=2, got=0)
        told.lines[-1]["n"] = 2
        told.now += 1
        told.writer.ok(call, boot=1, n=1, leases=[late], refused=[])
        assert told.broken() == set()

    def test_the_same_lease_for_two(self):
        told = Told().pushed(1)
        lease = told.lease(1)
        told.poll("a", lease)
        told.poll("b", lease)
        assert told.broken() == {grants.LEASES}

    def test_an_answer_that_is_repeated_is_no_second_lease(self):
        told = Told().pushed(2)
        lease = told.lease(1, 2)
        told.poll("a", lease, session="aa", n=1, got=0)
        told.poll("a", lease | {"ranges": [2, 2], "data": ["m2"]}, session="aa", n=1, got=0)
        for line in told.lines:
            line.setdefault("n", 1)
        assert told.broken() == set()


class TestOrder:
    def test_falls_with_the_grant_number(self):
        told = Told().pushed(2)
        told.poll("a", told.lease(2))
        told.poll("b", told.lease(1))
        assert told.broken() == {holding.ORDER}

    def test_is_broken_inside_a_lease(self):
        told = Told().pushed(2)
        told.poll("a", told.lease(2, 1))
        assert told.broken() == {holding.ORDER}

    @pytest.mark.parametrize("change", [{"lane": "deferred"}, {"deliveries": [2]}])
    def test_is_asked_only_of_first_grants_of_live_messages(self, change: dict):
        """Undone or unheard, it was handed out: its number of deliveries says so."""
        told = Told().pushed(2)
        told.poll("a", told.lease(2))
        told.poll("b", told.lease(1, **change))
        assert told.broken() == set()

    def test_begins_anew_with_a_boot(self):
        told = Told().pushed(2)
        told.poll("a", told.lease(2))
        told.restart()
        told.poll("b", told.lease(1))
        assert told.broken() == set()


class TestSettled:
    @pytest.mark.parametrize("again", ["at once", "after a restart", "rejected"])
    def test_and_given_again(self, again: str):
        told = Told().pushed(1)
        outcome = "reject" if again == "rejected" else "ack"
        told.settle("a", told.poll("a", told.lease(1)), 1, outcome=outcome)
        if again == "after a restart":
            told.restart()
        told.at(50).poll("b", told.lease(1, deliveries=[2]))
        assert told.broken() == {holding.SETTLED}

    @pytest.mark.parametrize("answer", [None, {"code": "busy"}])
    def test_without_a_confirm_it_may_come_again(self, answer: dict | None):
        told = Told().pushed(1)
        told.settle("a", told.poll("a", told.lease(1)), 1, answer=answer)
        told.at(2_000).poll("b", told.lease(1, deliveries=[2]))
        assert told.broken() == set()

    def test_a_refused_ack_does_not_count(self):
        told = Told().pushed(1)
        lease = told.poll("a", told.lease(1))
        no = {"refused": [{"lease": lease, "ranges": [1, 1], "code": "lease_lost"}]}
        told.at(2_000).settle("a", lease, 1, answer=no)
        told.poll("b", told.lease(1, deliveries=[2]))
        assert told.broken() == set()

    def test_an_operator_opens_a_dead_message_again(self):
        told = Told().pushed(1)
        told.settle("a", told.poll("a", told.lease(1)), 1, outcome="reject")
        told.operate("retry", "dead")
        told.at(50).poll("b", told.lease(1, lane="deferred", deliveries=[2]))
        assert told.broken() == set()

    def test_a_reject_told_again_is_answered_alike_though_it_was_opened_between(self):
        told = Told().pushed(1)
        lease = told.poll("a", told.lease(1))
        told.settle("a", lease, 1, outcome="reject", answer=None)
        told.at(50).operate("retry", "dead")
        told.at(100).settle("a", lease, 1, outcome="reject")
        told.at(200).poll("b", told.lease(1, lane="deferred", deliveries=[2]))
        assert told.broken() == set()

    def test_but_what_was_missing_was_not_opened(self):
        told = Told().pushed(1)
        told.settle("a", told.poll("a", told.lease(1)), 1, outcome="reject")
        told.operate("retry", "dead", done=0, missing=[1, 1])
        told.at(50).poll("b", told.lease(1, lane="deferred", deliveries=[2]))
        assert told.broken() == {holding.SETTLED}

    def test_a_grant_of_a_lower_number_tells_that_this_one_is_later(self):
        """The poll was parked before the ack; another's was not, and its grant came first."""
        told = Told().pushed(2)
        lease = told.poll("a", told.lease(1))
        parked = told.writer.invoke("b", "poll", group="g", topics=["*"], messages=9)
        told.settle("a", lease, 1)
        told.at(50).poll("c", told.lease(2))
        told.writer.ok(parked, boot=1, leases=[told.lease(1, deliveries=[2])], refused=[])
        assert told.broken() == {holding.SETTLED}


@pytest.mark.parametrize(("at_ms", "promises"), [(500, {holding.COUNTS}), (1_001, set())])
def test_a_holders_outcome_is_refused(at_ms: int, promises: set[str]):
    told = Told().pushed(1)
    lease = told.poll("a", told.lease(1))
    no = {"refused": [{"lease": lease, "ranges": [1, 1], "code": "lease_lost"}]}
    told.at(at_ms).settle("a", lease, 1, answer=no)
    assert told.broken() == promises


@pytest.mark.parametrize(("dead", "promises"), [([1], set()), ([], {ending.ENDS})])
def test_a_message_that_died_unseen_ends_though_its_confirm_told_no_position(dead, promises):
    told = Told()
    told.push("m1", first=0)
    told.poll("a")
    rows = [{"from": at, "to": at} for at in dead]
    told.call("o", "parked", {"parked": rows}, group="g", lane="dead")
    told.writer.event("end", drained=True)
    assert told.broken() == promises


def test_the_account_names_the_promise_and_a_few_of_its_breaches():
    told = Told().pushed(5)
    told.poll("a")
    told.writer.event("end", drained=True)
    (fault,) = told.account().faults
    assert fault.startswith("every confirmed message ends: 5 ('m1' at 1 was never handed out")
    assert fault.count("never handed out") == 3


def test_groups_that_were_deleted_are_judged_by_their_bytes_alone():
    told = Told().pushed(2)
    told.poll("a", told.lease(2))
    told.call("o", "group_delete", {}, group="g")
    told.poll("a", told.lease(1, grant=1))
    assert told.broken() == set()
    told.poll("a", told.lease(1, data=["m2"]))
    assert log.BYTES in told.broken()


@pytest.mark.parametrize("start", ["latest", 2, {"time_us": 5}])
def test_a_group_is_not_asked_for_what_lies_before_its_start(start: object):
    told = Told().pushed(2)
    told.settle("a", told.poll("a", told.lease(2), start=start), 2)
    told.writer.event("end", drained=True)
    assert told.broken() == set()
