"""What fails, what is bounded, how it ends: each promise kept and broken."""

from __future__ import annotations

import pytest

from tests.audit import bounds, ending, failing, grants
from tests.audit.told import Told

FAR_MS = 100_000


# ---- failing


class TestFailing:
    def failed(self, **limits: object) -> Told:
        """Message 1 failed under its first lease, confirmed at 4 ms."""
        told = Told().pushed(1)
        told.writer.event("limits", **{"backoff_ms": [100], "max_attempts": 3} | limits)
        told.settle("a", told.poll("a", told.lease(1)), 1, outcome="fail")
        return told

    def again(self, told: Told, at_ms: int, attempts: int) -> set[str]:
        fields = {"lane": "deferred", "deliveries": [2], "attempts": [attempts]}
        told.at(at_ms).poll("b", told.lease(1, **fields))
        return told.broken()

    def test_comes_again_counted_and_in_time(self):
        assert self.again(self.failed(), 103, 1) == set()

    def test_comes_too_early(self):
        assert self.again(self.failed(), 90, 1) == {failing.EARLY}

    def test_comes_too_early_after_a_restart(self):
        told = self.failed()
        told.restart()
        assert self.again(told, 90, 1) == {failing.EARLY}

    def test_may_come_early_when_the_wall_clock_jumped_over_a_restart(self):
        told = self.failed()
        told.writer.event("wall", by_us=90_000)
        told.restart()
        assert self.again(told, 90, 1) == set()

    def test_a_jump_within_a_boot_is_no_excuse(self):
        told = self.failed()
        told.writer.event("wall", by_us=90_000)
        assert self.again(told, 90, 1) == {failing.EARLY}

    def test_comes_too_early_when_its_lease_expired(self):
        told = Told().pushed(1)
        told.writer.event("limits", backoff_ms=[100], max_attempts=3)
        told.poll("a", told.lease(1))
        assert self.again(told, 1_050, 1) == {failing.EARLY}

    def test_comes_before_the_delay_its_consumer_asked_for(self):
        told = Told().pushed(1)
        told.settle("a", told.poll("a", told.lease(1)), 1, outcome="defer", delay_ms=500)
        assert self.again(told, 400, 0) == {failing.EARLY}

    def test_an_operator_makes_it_due_at_once(self):
        told = self.failed()
        told.operate("retry", "deferred")
        assert self.again(told, 20, 1) == set()

    def test_was_not_counted(self):
        assert self.again(self.failed(), 200, 0) == {failing.COUNTED}

    def test_attempts_shrink(self):
        told = Told().pushed(1)
        told.poll("a", told.lease(1, attempts=[2], deliveries=[2]))
        assert self.again(told, FAR_MS, 1) == {failing.SHRINK}

    def test_a_new_generation_begins_at_none(self):
        told = Told().pushed(1)
        told.poll("a", told.lease(1, attempts=[2], deliveries=[2]))
        told.at(2_000).operate("retry", "dead")
        assert self.again(told, FAR_MS, 0) == set()

    def test_is_given_with_all_its_attempts_used_up(self):
        assert self.again(self.failed(), 200, 3) == {bounds.ATTEMPTS}


class TestDead:
    def listed(self, told: Told, **more: int) -> set[str]:
        row = {"from": 1, "to": 1, "history": []} | more
        told.call("o", "parked", {"parked": [row], "more": False}, group="g", lane="dead")
        return told.broken()

    def test_too_early(self):
        assert self.listed(TestFailing().failed()) == {failing.DEAD}

    def test_too_early_by_the_brokers_own_account(self):
        told = TestFailing().failed()
        for _ in range(2):
            told.call("b", "poll", None, group="g", messages=9)
        assert self.listed(told, attempts=2) == {failing.DEAD}

    def test_with_all_its_attempts(self):
        assert self.listed(TestFailing().failed(max_attempts=1), attempts=1) == set()

    def test_with_answers_that_nobody_heard(self):
        told = TestFailing().failed()
        for _ in range(2):
            told.call("b", "poll", None, group="g", messages=9)
        assert self.listed(told) == set()

    @pytest.mark.parametrize(("late", "promises"), [(2, set()), (1, {failing.DEAD})])
    def test_by_failures_told_after_the_last_grant(self, late: int, promises: set[str]):
        told = Told().pushed(1)
        told.writer.event("limits", max_attempts=3)
        first = told.poll("a", told.lease(1))
        second = told.at(40_000).poll("b", told.lease(1, deliveries=[2]))
        third = told.at(80_000).poll("c", told.lease(1, deliveries=[3]))
        told.at(120_000)
        for who, lease in (("c", third), ("b", second), ("a", first))[: late + 1]:
            told.settle(who, lease, 1, outcome="fail")
        assert self.listed(told) == promises

    def test_not_by_a_failure_that_was_refused(self):
        told = Told().pushed(1)
        told.writer.event("limits", max_attempts=2)
        first = told.poll("a", told.lease(1))
        told.at(40_000).poll("b", told.lease(1, deliveries=[2]))
        lost = {"refused": [{"lease": first, "ranges": [1, 1], "code": "lease_lost"}]}
        told.at(80_000).settle("a", first, 1, outcome="fail", answer=lost)
        assert self.listed(told) == {failing.DEAD}

    def test_by_reject(self):
        told = Told().pushed(1)
        told.writer.event("limits", max_attempts=3)
        told.settle("a", told.poll("a", told.lease(1)), 1, outcome="reject")
        assert self.listed(told) == set()

    def test_and_acked(self):
        told = Told().pushed(1)
        told.settle("a", told.poll("a", told.lease(1)), 1)
        told.at(10)
        assert self.listed(told) == {failing.DEAD}


# ---- bounds


class TestBounds:
    def test_more_messages_than_asked_for(self):
        told = Told().pushed(2)
        told.poll("a", told.lease(1, 2), messages=1)
        assert told.broken() == {bounds.ANSWER}

    def test_too_many_leases_in_an_answer(self):
        told = Told().pushed(17)
        told.poll("a", *(told.lease(at) for at in range(1, 18)))
        assert told.broken() == {bounds.ANSWER}

    def test_a_suspect_with_company(self):
        told = Told().pushed(2)
        told.poll("a", told.lease(1, lane="deferred", alone=True), told.lease(2))
        assert told.broken() == {bounds.ANSWER}

    @pytest.mark.parametrize(("idle", "promises"), [(1, set()), (0, {bounds.ANSWER})])
    def test_deferred_work_for_nobody_idle(self, idle: int, promises: set[str]):
        told = Told().pushed(1)
        told.poll("a", told.lease(1, lane="deferred"), idle=idle)
        assert told.broken() == promises

    @pytest.mark.parametrize(("at_ms", "promises"), [(900, {bounds.ANSWER}), (1_100, set())])
    def test_overdue_work_for_nobody_idle(self, at_ms: int, promises: set[str]):
        told = Told()
        told.writer.event("limits", max_wait_ms=1_000)
        told.pushed(1)
        told.at(at_ms).poll("a", told.lease(1, lane="deferred"), idle=0)
        assert told.broken() == promises

    def test_an_answer_to_another_poll(self):
        told = Told().pushed(1)
        told.poll("a", told.lease(1), session="aa", n=2, got=1)
        told.lines[-1]["n"] = 1
        assert told.broken() == {bounds.ANSWER}

    def test_a_lease_of_another_length(self):
        told = Told().pushed(1)
        told.poll("a", told.lease(1), lease_ms=2_000)
        assert told.broken() == {bounds.ANSWER}

    def test_lists_that_do_not_add_up(self):
        told = Told().pushed(1)
        told.poll("a", told.lease(1, attempts=[0, 1]))
        assert told.broken() == {grants.LEASES}

    @pytest.mark.parametrize(("most", "promises"), [(3, set()), (2, {bounds.OUT})])
    def test_more_out_than_allowed(self, most: int, promises: set[str]):
        told = Told().pushed(3)
        told.writer.event("limits", max_out=most)
        told.poll("a", told.lease(1))
        told.poll("b", told.lease(2, 3))
        assert told.broken() == promises

    @pytest.mark.parametrize(("most", "promises"), [(2, set()), (1, {bounds.OUT})])
    def test_more_leases_of_a_session_than_allowed(self, most: int, promises: set[str]):
        told = Told().pushed(2)
        told.writer.event("limits", leases_per_session=most)
        told.poll("a", told.lease(1), told.lease(2))
        assert told.broken() == promises

    def test_the_boot_goes_back(self):
        told = Told().pushed(1)
        told.boot = 2
        told.poll("a")
        told.boot = 1
        told.at(50).poll("a")
        assert told.broken() == {bounds.BOOT}

    def test_an_answer_to_nothing(self):
        told = Told().pushed(1)
        told.lines.append(told.lines[-1] | {"call": 99})
        assert told.broken() == {bounds.ONE_END}


# ---- the end


class TestEnding:
    def ended(self, told: Told) -> set[str]:
        told.writer.event("end", drained=True)
        return told.broken()

    def test_a_confirmed_message_that_was_never_handed_out(self):
        told = Told().pushed(2)
        told.settle("a", told.poll("a", told.lease(1)), 1)
        assert told.broken() == set()
        assert self.ended(told) == {ending.ENDS}

    def test_one_that_was_handed_out_and_did_not_end(self):
        told = Told().pushed(1)
        told.settle("a", told.poll("a", told.lease(1)), 1, outcome="fail")
        assert self.ended(told) == {ending.ENDS}

    @pytest.mark.parametrize("how", ["unconfirmed ack", "dead", "dropped", "another's topic"])
    def test_what_ended_or_may_have(self, how: str):
        told = Told().pushed(1)
        lease = told.poll("a", *([] if how == "another's topic" else [told.lease(1)]))
        row = {"from": 1, "to": 1, "history": []}
        if how == "unconfirmed ack":
            told.settle("a", lease, 1, answer=None)
        elif how == "dead":
            told.call("o", "parked", {"parked": [row], "more": False}, group="g", lane="dead")
        elif how == "dropped":
            told.call(
                "o", "drop", {"done": 1, "missing": []}, group="g", lane="dead", ranges=[1, 1]
            )
        else:
            told.lines[2]["topics"] = ["web.*"]
        assert self.ended(told) == set()

    def test_a_push_before_a_confirmed_one_of_its_producer_must_be_there(self):
        told = Told()
        fields = {"topic": "app", "producer": "aa"}
        told.call("p", "push", None, data=["m1"], seq=1, **fields)
        told.push("m2", first=2, producer="aa", seq=2)
        told.settle("a", told.poll("a", told.lease(2)), 2)
        assert self.ended(told) == {ending.ENDS}

    def test_a_group_that_still_counts_something(self):
        told = Told().pushed(1)
        told.settle("a", told.poll("a", told.lease(1)), 1)
        told.counted(waiting=1)
        assert self.ended(told) == {ending.LEFT}

    def test_a_group_that_counts_more_dead_than_it_lists(self):
        told = Told().pushed(1)
        told.settle("a", told.poll("a", told.lease(1)), 1)
        told.counted(dead=1)
        assert self.ended(told) == {ending.LEFT}

    @pytest.mark.parametrize(
        ("first_ms", "calm_ms", "promises"),
        [(400, 0, set()), (600, 0, {ending.STARVES}), (600, 300, set())],
    )
    def test_something_starves(self, first_ms: int, calm_ms: int, promises: set[str]):
        told = Told().pushed(1)
        told.writer.event("limits", seen_within_ms=500)
        told.poll("b")
        told.at(calm_ms)
        told.writer.event("faults", on=False)
        told.at(first_ms).poll("a", told.lease(1))
        assert told.broken() == promises

    @pytest.mark.parametrize(("bound_ms", "promises"), [(200, set()), (50, {ending.LIVE_FIRST})])
    def test_deferred_work_while_live_work_waits(self, bound_ms: int, promises: set[str]):
        told = Told().pushed(2)
        told.writer.event("limits", live_first_ms=bound_ms)
        told.poll("a")
        told.at(100).poll("a", told.lease(1, lane="deferred", deliveries=[2]))
        told.poll("a", told.lease(2))
        assert told.broken() == promises
