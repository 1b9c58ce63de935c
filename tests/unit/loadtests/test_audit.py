"""The auditor is fed right accounts and wrong ones; a wrong one must not pass."""

from __future__ import annotations

import pytest

from loadtests.audit import DAEMON, Account, Handled, Kill, Pushed, Story, audit

LIMIT = 3


def pushed(*positions: int) -> list[Pushed]:
    return [Pushed(position, f"line {position}") for position in positions]


def handled(position: int, **changes: object) -> Handled:
    """A message handled as all are in a quiet run; `changes` say what was different."""
    at_us = position * 1_000
    usual = Handled(
        position,
        what=f"line {position}",
        consumer="anna",
        boot=1,
        grant=position,
        lane="live",
        deliveries=1,
        start_us=at_us,
        outcome="ack",
        end_us=at_us + 500,
    )
    return usual._replace(**changes)


def failing(position: int, times: int) -> list[Handled]:
    return [
        handled(
            position,
            outcome="fail",
            lane="deferred" if i else "live",
            deliveries=i + 1,
            start_us=i * 100,
            end_us=i * 100,
        )
        for i in range(times)
    ]


def account(*records: Handled, of: list[Pushed], **more: object) -> Account:
    return audit(Story(of, records, max_attempts=LIMIT, **more))


def fault(*records: Handled, of: list[Pushed], **more: object) -> str:
    (only,) = account(*records, of=of, **more).faults
    return only


def test_a_right_account_has_no_faults_and_adds_up():
    records = [handled(1), *failing(2, LIMIT), handled(3)]
    found = account(*records, of=pushed(1, 2, 3), dead=frozenset({2}))
    assert not found.faults
    assert (found.pushed, found.acked, found.dead, found.failures) == (3, 2, 1, LIMIT)


def test_nothing_pushed_is_right():
    assert not account(of=[]).faults


def test_a_confirmed_message_that_nobody_saw_is_lost():
    assert fault(handled(1), of=pushed(1, 2)) == "lost: 1 (line 2 at 2)"


def test_a_message_that_only_failed_and_is_not_dead_is_lost():
    assert fault(handled(1, outcome="fail"), of=pushed(1)).startswith("lost: 1")


def test_a_line_that_was_never_confirmed_is_named():
    assert fault(of=[], unconfirmed=["line 9"]).startswith("pushed but never confirmed: 1 (line 9")


def test_one_line_confirmed_at_two_positions_is_in_the_log_twice():
    twice = [Pushed(1, "line 1"), Pushed(2, "line 1")]
    faults = account(handled(1), handled(2, what="line 1"), of=twice).faults
    assert faults[0].startswith("in the log twice: 2 (line 1 was confirmed 2 times")


def test_one_line_handed_out_from_two_positions_is_in_the_log_twice():
    """The first push was confirmed; the copy of it that was sent again was not."""
    assert "handed out from positions [1, 2]" in fault(
        handled(1), handled(2, what="line 1"), of=pushed(1)
    )


def test_one_position_for_two_lines():
    both = [Pushed(1, "line 1"), Pushed(1, "line 2")]
    assert "position 1 was confirmed 2 times" in account(handled(1), of=both).faults[0]


def test_other_bytes_than_those_pushed():
    assert fault(handled(1, what="garbage"), of=pushed(1)).startswith("not what was pushed: 1")


def test_a_message_that_nobody_pushed():
    assert fault(handled(1), handled(2), of=pushed(1)).startswith("not what was pushed: 1")


def test_a_push_of_unknown_outcome_may_come_out():
    found = account(handled(1), of=[], unconfirmed=["line 1"])
    assert len(found.faults) == 1  # that it is unconfirmed, not that it came


def test_a_dead_message_that_nobody_pushed():
    records = failing(7, LIMIT)
    faults = account(*records, of=[], dead=frozenset({7})).faults
    assert any(line.startswith("not what was pushed") for line in faults)


class TestAgain:
    """A message that comes again after its ack."""

    def again(self, **changes: object) -> list[Handled]:
        later = {"start_us": 9_000_000, "deliveries": 2, "grant": 9} | changes
        return [handled(1), handled(1, **later)]

    def test_needs_a_kill_to_blame(self):
        assert "without a kill to blame" in fault(*self.again(), of=pushed(1))

    def test_may_follow_a_kill_of_its_consumer_right_after_the_ack(self):
        kills = [Kill("anna", 2_000, 3_000)]
        assert not account(*self.again(), of=pushed(1), kills=kills).faults

    def test_may_follow_a_kill_of_the_daemon_right_after_the_ack(self):
        kills = [Kill(DAEMON, 2_000, 900_000)]
        assert not account(*self.again(boot=2), of=pushed(1), kills=kills).faults

    def test_may_be_acked_while_the_daemon_is_away(self):
        kills = [Kill(DAEMON, 1_000, 900_000)]
        assert not account(*self.again(boot=2), of=pushed(1), kills=kills).faults

    @pytest.mark.parametrize(
        "kill",
        [Kill("ben", 2_000, 3_000), Kill("anna", 5_000_000, 5_100_000), Kill("anna", 100, 200)],
        ids=["another's", "too late", "too early"],
    )
    def test_is_not_excused_by_a_kill_that_did_not_cost_the_ack(self, kill: Kill):
        assert "without a kill" in fault(*self.again(), of=pushed(1), kills=[kill])

    def test_is_never_right_once_the_ack_was_confirmed(self):
        first, again = self.again()
        records = [first._replace(confirmed_us=2_000), again]
        kills = [Kill(DAEMON, 2_500, 900_000)]
        assert "ms after the confirm" in fault(*records, of=pushed(1), kills=kills)


class TestDead:
    def test_seen_failing_too_seldom(self):
        found = fault(*failing(1, LIMIT - 1), of=pushed(1), dead=frozenset({1}))
        assert (
            found == "dead without its failures: 1 (1 was seen failing 2 times, cut short 0 times)"
        )

    def test_seen_failing_too_often(self):
        found = fault(*failing(1, LIMIT + 1), of=pushed(1), dead=frozenset({1}))
        assert found.startswith("dead without its failures: 1")

    def test_never_seen(self):
        found = fault(of=pushed(1), dead=frozenset({1}))
        assert "seen failing 0 times" in found

    def test_one_attempt_may_be_cut_short_by_the_death_of_its_consumer(self):
        cut = handled(1, consumer="ben", outcome="", end_us=0, start_us=1_000)
        records = [*failing(1, LIMIT - 1), cut]
        kills = [Kill("ben", 1_500, 1_600)]
        found = account(*records, of=pushed(1), dead=frozenset({1}), kills=kills)
        assert not found.faults

    def test_one_attempt_may_be_lost_in_the_hands_of_a_consumer_that_had_not_begun(self):
        first, second, third = failing(1, LIMIT)
        later = third._replace(start_us=5_000, end_us=5_000)
        kills = [Kill("ben", 150, 160)]
        dead = frozenset({1})
        unseen = account(first, later, of=pushed(1), dead=dead, kills=kills)
        assert not unseen.faults
        seen = account(first, second, of=pushed(1), dead=dead, kills=[Kill("ben", 50, 60)])
        assert "seen failing 2 times" in seen.faults[0]
        other_boot = later._replace(boot=2, deliveries=1)
        assert not account(first, other_boot, of=pushed(1), dead=dead, kills=kills).faults
        assert account(first, later, of=pushed(1), dead=dead).faults

    def test_the_last_attempt_may_be_lost_likewise(self):
        records = failing(1, LIMIT - 1)
        kills = [Kill("ben", 500, 600)]
        assert not account(*records, of=pushed(1), dead=frozenset({1}), kills=kills).faults

    def test_a_kill_of_a_consumer_costs_one_attempt_at_most(self):
        records = failing(1, LIMIT - 2)
        kills = [Kill("ben", 500, 600)]
        found = fault(*records, of=pushed(1), dead=frozenset({1}), kills=kills)
        assert "seen failing 1 times" in found

    def test_one_failure_may_be_lost_to_a_kill_of_the_daemon(self):
        kills = [Kill(DAEMON, 150, 900_000)]
        records = failing(1, LIMIT + 1)
        assert not account(*records, of=pushed(1), dead=frozenset({1}), kills=kills).faults

    def test_acked_and_dead(self):
        records = [*failing(1, LIMIT), handled(1, start_us=10**7, deliveries=4)]
        found = account(*records, of=pushed(1), dead=frozenset({1}))
        assert found.faults == ["acked and dead: 1 (1)"]


def test_a_message_begun_and_dropped_by_a_consumer_that_lived():
    records = [handled(1, outcome="", end_us=0), handled(1, deliveries=2, start_us=10**7)]
    assert fault(*records, of=pushed(1)) == "begun and dropped: 1 (1 by anna)"


class TestOrder:
    def test_an_earlier_grant_of_a_later_message(self):
        records = [handled(1, grant=2), handled(2, grant=1)]
        assert fault(*records, of=pushed(1, 2)).startswith("out of order: 1 (boot 1: grant 1 up to")

    def test_grants_that_overlap(self):
        records = [handled(1, grant=1), handled(3, grant=1), handled(2, grant=2)]
        assert "out of order" in fault(*records, of=pushed(1, 2, 3))

    def test_two_grants_of_one_message_that_both_say_the_first(self):
        records = [handled(1, grant=1, outcome="fail"), handled(1, grant=2, start_us=5_000)]
        assert "out of order" in fault(*records, of=pushed(1))

    @pytest.mark.parametrize("change", [{"lane": "deferred"}, {"deliveries": 2}, {"boot": 2}])
    def test_is_asked_only_of_first_grants_of_live_messages_in_one_boot(
        self, change: dict[str, object]
    ):
        records = [handled(1, grant=2, **change), handled(2, grant=1)]
        assert not account(*records, of=pushed(1, 2)).faults


def test_a_fault_names_the_first_few_and_counts_all():
    assert fault(of=pushed(*range(1, 9))) == (
        "lost: 8 (line 1 at 1, line 2 at 2, line 3 at 3, ...)"
    )
