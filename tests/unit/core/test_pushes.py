"""The rules of producers: what is next, what is a repeat, who is told what."""

from __future__ import annotations

import pytest

from laybyd.core.effects import Append, Confirm, Refuse, Reply, ResumeAppends
from laybyd.core.events import NotStored, Push, Stored
from laybyd.core.pushes import REPEAT_CALLERS_MAX, Pushes
from laybyd.core.settings import CoreSettings
from laybyd.core.space import Space
from laybyd.core.types import Caller, ProducerState

ANN = Caller(b"ann")
BOB = Caller(b"bob")
DAY_US = 24 * 3600 * 1_000_000


def make(**changes: int) -> Pushes:
    return Pushes(CoreSettings()._replace(**changes), [], Space())


def push(
    seq: int | None = None,
    *,
    producer: bytes | None = b"p",
    caller: Caller = ANN,
    crc: int = 7,
    messages: int = 3,
) -> Push:
    if seq is None:
        producer = None
    return Push(caller, "app", b"body", messages, 100, crc, True, producer, seq)


def store(pushes: Pushes, *events: Push, first: int = 1, now: int = 0):
    """Push them and have the log store them all in one commit, three positions each."""
    for event in events:
        assert pushes.push(event, now) == [Append(event)]
    placed = tuple((event, first + 3 * i) for i, event in enumerate(events))
    return pushes.stored(Stored(placed), now)


def refusal(effects) -> Refuse:
    [refuse] = effects
    assert isinstance(refuse, Refuse)
    return refuse


def fail(pushes: Pushes, *events: Push, code: str = "store_full"):
    return pushes.not_stored(NotStored(events, code, "no room"))


class TestUnnumbered:
    def test_is_answered_with_its_position_once_stored(self):
        pushes = make()
        assert store(pushes, push(), first=41) == [Reply(ANN, {"first": 41, "count": 3})]

    def test_is_stored_twice_when_pushed_twice(self):
        pushes = make()
        assert len(store(pushes, push(), push())) == 2

    def test_is_refused_without_fields(self):
        pushes = make()
        pushes.space.log_full = True
        assert refusal(pushes.push(push(), 0)).fields == {}


class TestOrder:
    def test_a_producer_begins_at_one(self):
        pushes = make()
        refused = refusal(pushes.push(push(2), 0))
        assert (refused.code, refused.fields) == (
            "seq_gap",
            {"producer": b"p", "seq": 2, "expected": 1},
        )

    def test_a_refused_stranger_is_not_remembered(self):
        pushes = make(producers_max=1)
        store(pushes, push(1))
        pushes.push(push(5, producer=b"stranger"), 0)
        assert pushes.push(push(2), 0) == [Append(push(2))]

    def test_each_next_number_is_taken(self):
        pushes = make()
        [confirm] = store(pushes, push(1), push(2), push(3), first=10)
        assert confirm == Confirm(ANN, b"p", 1, 3, (10, 13, 16))

    def test_a_higher_number_names_the_expected_one(self):
        pushes = make()
        store(pushes, push(1))
        pushes.push(push(2), 0)
        refused = refusal(pushes.push(push(4), 0))
        assert (refused.code, refused.fields["expected"]) == ("seq_gap", 3)

    def test_a_refused_push_refuses_all_that_follow_until_it_is_resent(self):
        pushes = make()
        pushes.space.log_full = True
        assert refusal(pushes.push(push(1), 0)).code == "store_full"
        pushes.space.log_full = False
        assert refusal(pushes.push(push(2), 0)).fields["expected"] == 1
        assert store(pushes, push(1), push(2))

    def test_producers_do_not_mind_each_other(self):
        pushes = make()
        effects = store(pushes, push(1), push(1, producer=b"q"), push(2))
        assert effects == [
            Confirm(ANN, b"p", 1, 2, (1, 7)),
            Confirm(ANN, b"q", 1, 1, (4,)),
        ]


class TestConfirms:
    def test_one_per_connection_and_run(self):
        pushes = make()
        effects = store(pushes, push(1), push(2), push(3, caller=BOB), push(4))
        assert effects == [
            Confirm(ANN, b"p", 1, 2, (1, 4)),
            Confirm(BOB, b"p", 3, 3, (7,)),
            Confirm(ANN, b"p", 4, 4, (10,)),
        ]

    def test_clients_behind_one_proxy_are_told_apart(self):
        pushes = make()
        one, two = Caller(b"proxy", (b"1", b"")), Caller(b"proxy", (b"2", b""))
        effects = store(pushes, push(1, caller=one), push(2, caller=two))
        assert [effect.caller for effect in effects] == [one, two]

    def test_wait_for_what_comes_before(self):
        """One commit may list a producer's pushes by topic; two commits may even split them."""
        pushes = make()
        events = [push(seq) for seq in (1, 2, 3)]
        for event in events:
            pushes.push(event, 0)
        assert pushes.stored(Stored(((events[0], 1), (events[2], 4))), 0) == [
            Confirm(ANN, b"p", 1, 1, (1,))
        ]
        assert pushes.stored(Stored(((events[1], 7),)), 0) == [Confirm(ANN, b"p", 2, 3, (7, 4))]


class TestRepeats:
    def test_of_a_stored_push_are_confirmed_at_once(self):
        pushes = make()
        store(pushes, push(1), push(2), first=10)
        assert pushes.push(push(1, caller=BOB), 0) == [Confirm(BOB, b"p", 1, 1, (10,))]

    def test_even_when_full_or_quiescing(self):
        pushes = make()
        store(pushes, push(1))
        pushes.space.log_full = pushes.quiescing = True
        assert pushes.push(push(1), 0) == [Confirm(ANN, b"p", 1, 1, (1,))]

    def test_with_other_bytes_conflict(self):
        pushes = make()
        store(pushes, push(1))
        refused = refusal(pushes.push(push(1, crc=8), 0))
        assert (refused.code, refused.fields["expected"]) == ("conflict", 2)

    def test_too_old_to_be_remembered_are_confirmed_unchecked(self):
        pushes = make(producer_history=2)
        store(pushes, push(1), push(2), push(3))
        assert pushes.push(push(1, crc=8), 0) == [Confirm(ANN, b"p", 1, 1, (0,))]
        assert pushes.push(push(2), 0) == [Confirm(ANN, b"p", 2, 2, (4,))]

    def test_in_flight_are_confirmed_with_the_first_one(self):
        pushes = make()
        pushes.push(push(1), 0)
        assert pushes.push(push(1, caller=BOB), 0) == []
        assert pushes.push(push(1), 0) == []
        effects = pushes.stored(Stored(((push(1), 5),)), 0)
        assert effects == [Confirm(BOB, b"p", 1, 1, (5,)), Confirm(ANN, b"p", 1, 1, (5,))]

    def test_in_flight_with_other_bytes_conflict(self):
        pushes = make()
        pushes.push(push(1), 0)
        assert refusal(pushes.push(push(1, caller=BOB, crc=8), 0)).code == "conflict"

    def test_in_flight_from_ever_new_connections_are_bounded(self):
        pushes = make()
        pushes.push(push(1), 0)
        for i in range(REPEAT_CALLERS_MAX):
            assert pushes.push(push(1, caller=Caller(b"%d" % i)), 0) == []
        assert refusal(pushes.push(push(1, caller=BOB), 0)).code == "busy"
        assert pushes.push(push(1, caller=Caller(b"0")), 0) == []


class TestLimits:
    def test_a_push_whose_bytes_were_not_kept_is_refused_and_advances_nothing(self):
        pushes = make()
        refused = refusal(pushes.push(push(1)._replace(body=None), 0))
        assert (refused.code, refused.retry_ms > 0, refused.fields["expected"]) == ("busy", True, 1)

    def test_in_flight(self):
        pushes = make(producer_in_flight_max=2)
        pushes.push(push(1), 0)
        pushes.push(push(2), 0)
        refused = refusal(pushes.push(push(3), 0))
        assert (refused.code, refused.retry_ms, refused.fields["expected"]) == ("busy", 100, 3)
        pushes.stored(Stored(((push(1), 1),)), 0)
        assert pushes.push(push(3), 0) == [Append(push(3))]

    @pytest.mark.parametrize("event", [push(1), push()])
    def test_full_names_what_pins_the_log(self, event: Push):
        pushes = make()
        pushes.space.log_full = True
        pushes.pins = "group 'slow' holds it at 17"
        refused = refusal(pushes.push(event, 0))
        assert (refused.code, refused.retry_ms) == ("store_full", 1_000)
        assert "group 'slow' holds it at 17" in refused.text

    def test_quiescing(self):
        pushes = make()
        pushes.quiescing = True
        refused = refusal(pushes.push(push(1), 0))
        assert (refused.code, refused.retry_ms > 0) == ("quiescing", True)


class TestNotStored:
    def test_is_taken_note_of_first_and_refused_one_by_one(self):
        pushes = make()
        store(pushes, push(1))
        for seq in (2, 3):
            pushes.push(push(seq), 0)
        resume, *refused = fail(pushes, push(2), push(3))
        assert resume == ResumeAppends()
        assert [(r.code, r.retry_ms, r.fields["seq"], r.fields["expected"]) for r in refused] == [
            ("store_full", 1_000, 2, 2),
            ("store_full", 1_000, 3, 2),
        ]
        assert refusal(pushes.push(push(3), 0)).code == "seq_gap"
        assert store(pushes, push(2), push(3))

    def test_what_was_behind_it_gets_no_second_resume(self):
        """A second one could let 3 pass although 2, sent again in between, failed again."""
        pushes = make()
        for seq in (1, 2, 3):
            pushes.push(push(seq), 0)
        assert isinstance(fail(pushes, push(1))[0], ResumeAppends)
        assert pushes.push(push(1), 0) == [Append(push(1))]
        behind = fail(pushes, push(2), push(3))
        assert [type(effect) for effect in behind] == [Refuse, Refuse]
        assert refusal(pushes.push(push(3), 0)).fields["expected"] == 2
        assert isinstance(fail(pushes, push(1))[0], ResumeAppends)

    def test_a_report_of_old_and_new_failures_is_a_new_failure(self):
        pushes = make()
        pushes.push(push(1), 0)
        pushes.push(push(2), 0)
        fail(pushes, push(1))
        pushes.push(push(1), 0)
        assert isinstance(fail(pushes, push(2), push(1))[0], ResumeAppends)
        assert store(pushes, push(1))

    def test_other_producers_are_rolled_back_too(self):
        pushes = make()
        other = push(1, producer=b"q")
        pushes.push(push(1), 0)
        pushes.push(other, 0)
        fail(pushes, push(1))
        fail(pushes, other)
        assert store(pushes, other, push(1))

    def test_those_who_waited_for_it_hear_of_it(self):
        pushes = make()
        pushes.push(push(1), 0)
        pushes.push(push(1, caller=BOB), 0)
        resume, to_bob, to_ann = fail(pushes, push(1), code="internal")
        assert isinstance(resume, ResumeAppends)
        assert (to_bob.caller, to_ann.caller) == (BOB, ANN)
        assert to_bob.fields == to_ann.fields == {"producer": b"p", "seq": 1, "expected": 1}
        assert store(pushes, push(1)) == [Confirm(ANN, b"p", 1, 1, (1,))]

    def test_a_store_behind_a_failure_is_a_broken_promise(self):
        pushes = make()
        pushes.push(push(1), 0)
        pushes.push(push(2), 0)
        fail(pushes, push(1))
        with pytest.raises(AssertionError, match="before ResumeAppends"):
            pushes.stored(Stored(((push(2), 1),)), 0)


class TestMemory:
    def test_a_restart_knows_what_was_confirmed(self):
        state = ProducerState(b"p", 5, 0, ((4, 30, 7), (5, 33, 7)))
        pushes = Pushes(CoreSettings(), [state], Space())
        assert pushes.push(push(4), 0) == [Confirm(ANN, b"p", 4, 4, (30,))]
        assert refusal(pushes.push(push(5, crc=8), 0)).code == "conflict"
        assert pushes.push(push(3), 0) == [Confirm(ANN, b"p", 3, 3, (0,))]
        assert store(pushes, push(6), first=36) == [Confirm(ANN, b"p", 6, 6, (36,))]
        assert pushes.push(push(5), 0) == [Confirm(ANN, b"p", 5, 5, (33,))]

    def test_a_restart_with_nothing_but_the_number(self):
        pushes = Pushes(CoreSettings(), [ProducerState(b"p", 5, 0, ())], Space())
        assert pushes.push(push(5, crc=8), 0) == [Confirm(ANN, b"p", 5, 5, (0,))]
        assert store(pushes, push(6))

    def test_of_the_others_only_the_last_push_is_kept(self):
        pushes = make(producers_recent=1)
        store(pushes, push(1), push(2))
        store(pushes, push(1, producer=b"q"), first=7)
        assert pushes.push(push(1, crc=8), 0) == [Confirm(ANN, b"p", 1, 1, (0,))]
        assert refusal(pushes.push(push(2, crc=8), 0)).code == "conflict"

    def test_one_that_comes_back_is_among_the_latest_again(self):
        pushes = make(producers_recent=1)
        store(pushes, push(1))
        store(pushes, push(1, producer=b"q"))
        store(pushes, push(2), push(3), first=10)
        assert pushes.push(push(2), 0) == [Confirm(ANN, b"p", 2, 2, (10,))]
        assert refusal(pushes.push(push(1, crc=8), 0)).code == "conflict"
        store(pushes, push(2, producer=b"q"))
        assert pushes.push(push(2), 0) == [Confirm(ANN, b"p", 2, 2, (0,))]

    def test_one_that_is_pushed_out_before_its_first_push_is_stored(self):
        pushes = make(producers_recent=1)
        first, other = push(1), push(1, producer=b"q")
        pushes.push(first, 0)
        pushes.push(other, 0)
        assert pushes.stored(Stored(((first, 4),)), 0) == [Confirm(ANN, b"p", 1, 1, (4,))]
        assert pushes.push(first, 0) == [Confirm(ANN, b"p", 1, 1, (4,))]
        assert refusal(pushes.push(push(1, crc=8), 0)).code == "conflict"

    def test_beyond_the_most_the_longest_silent_is_forgotten(self):
        pushes = make(producers_max=2, producers_recent=1)
        for name in (b"a", b"b", b"c"):
            store(pushes, push(1, producer=name))
        refused = refusal(pushes.push(push(2, producer=b"a"), 0))
        assert (refused.code, refused.fields["expected"]) == ("seq_gap", 1)
        assert "forgotten" in refused.text
        assert pushes.push(push(2, producer=b"b"), 0) == [Append(push(2, producer=b"b"))]

    def test_one_in_flight_is_not_forgotten(self):
        pushes = make(producers_max=1, producers_recent=1)
        first = push(1, producer=b"a")
        pushes.push(first, 0)
        store(pushes, push(1, producer=b"b"))
        assert pushes.stored(Stored(((first, 4),)), 0) == [Confirm(ANN, b"a", 1, 1, (4,))]

    def test_the_silent_are_forgotten_after_their_days(self):
        pushes = make()
        store(pushes, push(1, producer=b"a"))
        store(pushes, push(1, producer=b"b"), now=6 * DAY_US)
        store(pushes, push(2, producer=b"b"), now=8 * DAY_US)
        assert refusal(pushes.push(push(2, producer=b"a"), 8 * DAY_US)).fields["expected"] == 1
