"""Bugs planted into the core, to see that the auditor has eyes.

Owns a short list of plausible mistakes. Each must be found by some seed; one that is not found
means a promise that nobody checks.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any
from unittest.mock import PropertyMock, patch

from laybyd.core import drain, grants, group, journal, late, pushes, rules
from laybyd.core.account import Account
from laybyd.core.broker import Broker
from laybyd.core.deferred import Deferred
from laybyd.core.effects import Append, DropGroup, Snapshot
from laybyd.core.floor import Floor
from laybyd.core.grants import Granter
from laybyd.core.group import Group
from laybyd.core.groups import Groups
from laybyd.core.journal import Journal
from laybyd.core.leases import Leases, Past
from laybyd.core.live import Live, Room
from laybyd.core.operate import Operator
from laybyd.core.parking import Parking
from laybyd.core.polls import Polls
from laybyd.core.progress import Reports
from laybyd.core.pushes import Pushes, _Memory
from laybyd.core.rules import Rules
from laybyd.core.sessions import Waiting
from laybyd.core.trim import Trimmer
from laybyd.core.types import Outcome
from tests.simulation import mutants_of_changes
from tests.simulation.planting import MUTANTS, mutant, planted, swap

__all__ = ("MUTANTS", "mutants_of_changes", "planted")


# ---- what is promised over a crash --------------------------------------------------------------


@mutant
def no_fence_of_boot(stack: ExitStack) -> None:
    old = swap(stack, Leases, "next_id", lambda self: bytes(4) + old(self)[4:])


@mutant
def acks_are_not_written(stack: ExitStack) -> None:
    swap(stack, Journal, "_ranges_op", lambda self: [])


@mutant
def answered_before_the_commit(stack: ExitStack) -> None:
    swap(stack, Journal, "after", lambda self, batch, effect, *rest: self._out.append(effect))


@mutant
def a_snapshot_forgets_what_is_done_above_the_floor(stack: ExitStack) -> None:
    def ops(self: Journal) -> list[Any]:
        return [op._replace(done=()) if isinstance(op, Snapshot) else op for op in old(self)]

    swap(stack, journal, "DELTAS_MAX", 3)
    old = swap(stack, Journal, "_ranges_op", ops)


@mutant
def granted_within_the_restart_grace(stack: ExitStack) -> None:
    def begin(self: Polls, *args: Any) -> None:
        old(self, *args)
        self._grace_until = 0

    old = swap(stack, Polls, "__init__", begin)


# ---- one holder, and nothing lost ---------------------------------------------------------------


@mutant
def leases_end_at_half_time(stack: ExitStack) -> None:
    swap(stack, group, "lease_end", lambda lease: lease.granted_us + lease.lease_us // 2)


@mutant
def reports_do_not_extend(stack: ExitStack) -> None:
    swap(stack, group, "lease_end", lambda lease: lease.ends_us)


@mutant
def handling_is_cut_short(stack: ExitStack) -> None:
    def limit(self: Reports, *args: Any) -> int:
        return old(self, *args) - self._parts.settings.max_handling_us // 2

    old = swap(stack, Reports, "_limit", limit)


@mutant
def a_late_ack_beats_the_holder(stack: ExitStack) -> None:
    swap(stack, Live, "waiting_in", lambda self, first, last: ([], [(first, last)]))


@mutant
def handed_out_twice(stack: ExitStack) -> None:
    def take(self: Live, room: Room) -> Any:
        spans = old(self, room)
        if spans and spans[-1].last % 7 == 0:
            self.give_back(spans[-1])
        return spans

    old = swap(stack, Live, "_take_new", take)


@mutant
def a_park_is_lost(stack: ExitStack) -> None:
    swap(stack, Parking, "admit", lambda self, news, *rest: None)


@mutant
def the_floor_jumps_over_holes(stack: ExitStack) -> None:
    def settle(self: Floor, first: int, last: int) -> None:
        self.position = max(self.position, last + 1)

    swap(stack, Floor, "settle", settle)


@mutant
def the_head_drops_what_is_too_much(stack: ExitStack) -> None:
    def shorten(self: Deferred) -> None:
        horizon = self.horizon
        old(self)
        self.horizon = horizon

    old = swap(stack, Deferred, "_shorten", shorten)


@mutant
def trimmed_under_parked_messages(stack: ExitStack) -> None:
    swap(stack, Account, "need", lambda self, floor: floor)


# ---- counting and time --------------------------------------------------------------------------


@mutant
def due_at_once(stack: ExitStack) -> None:
    old = swap(stack, rules, "_due", lambda part, now, delay_us: old(part, now, 0))


@mutant
def every_suspect_is_counted(stack: ExitStack) -> None:
    def suspects(self: Rules, *args: Any) -> Any:
        return [
            (lane, record._replace(attempts=record.attempts + 1))
            for lane, record in old(self, *args)
        ]

    old = swap(stack, Rules, "suspects", suspects)


@mutant
def failures_are_not_counted(stack: ExitStack) -> None:
    def failed(self: Rules, part: Any, *rest: Any) -> Any:
        return [
            (lane, record._replace(attempts=part.attempts))
            for lane, record in old(self, part, *rest)
        ]

    old = swap(stack, Rules, "failed", failed)


@mutant
def dead_one_attempt_too_early(stack: ExitStack) -> None:
    def failed(self: Rules, part: Any, trouble: Any, *rest: Any) -> Any:
        if part.messages == 1 and part.attempts + 2 >= self.group.max_attempts > 1:
            return self.rejected(part, trouble)
        return old(self, part, trouble, *rest)

    old = swap(stack, Rules, "failed", failed)


@mutant
def a_late_fail_counts_beside_the_end_of_its_lease(stack: ExitStack) -> None:
    def is_repeat(verdict: Any, *args: Any) -> bool:
        return verdict.outcome is not Outcome.FAIL and old(verdict, *args)

    old = swap(stack, late, "_is_repeat", is_repeat)


# ---- order and limits ---------------------------------------------------------------------------


@mutant
def new_before_returned(stack: ExitStack) -> None:
    def take(self: Live, room: Room, session: bytes, others_wait: bool) -> Any:
        return self._take_new(room) or self._take_returned(room, session, others_wait)

    swap(stack, Live, "take", take)


@mutant
def deferred_before_live(stack: ExitStack) -> None:
    def match(self: Granter, now: int) -> None:
        while (surplus := self._drain.surplus(now)) is not None:
            if not self._give_deferred(surplus, now, guard=False):
                break
        old(self, now)

    old = swap(stack, Granter, "match", match)


@mutant
def the_oldest_is_passed_over(stack: ExitStack) -> None:
    def take(self: Deferred, now: int, messages: int, records: int) -> Any:
        oldest = self._order[:1] if len(self._order) > 1 else []
        del self._order[: len(oldest)]
        taken = old(self, now, messages, records)
        self._order = sorted(oldest + self._order)
        return taken

    old = swap(stack, Deferred, "take", take)


def _endless(slice_us: int, measured_us: float, told_us: int | None) -> int:
    return slice_us


def _believing(slice_us: int, measured_us: float, told_us: int | None) -> int:
    believed = slice_us / 4 / max(1, told_us) if told_us is not None else 0
    return max(1, round(max(slice_us / max(1.0, measured_us), believed)))


@mutant
def a_slice_of_live_has_no_end(stack: ExitStack) -> None:
    swap(stack, grants, "in_a_slice", _endless)


@mutant
def a_slice_of_deferred_has_no_end(stack: ExitStack) -> None:
    swap(stack, drain, "in_a_slice", _endless)


@mutant
def the_told_live_time_is_believed_whole(stack: ExitStack) -> None:
    swap(stack, grants, "in_a_slice", _believing)


@mutant
def the_told_deferred_time_is_believed_whole(stack: ExitStack) -> None:
    swap(stack, drain, "in_a_slice", _believing)


@mutant
def max_out_is_forgotten(stack: ExitStack) -> None:
    stack.enter_context(patch.object(Granter, "_full", PropertyMock(return_value=False)))


@mutant
def credit_is_forgotten(stack: ExitStack) -> None:
    swap(stack, Room, "fit", lambda self, messages, size: messages)


# ---- producers ----------------------------------------------------------------------------------


@mutant
def repeats_are_stored_again(stack: ExitStack) -> None:
    swap(stack, Pushes, "_repeat", lambda self, event, *rest: [Append(event)])


@mutant
def gaps_are_taken(stack: ExitStack) -> None:
    def out_of_turn(self: Pushes, event: Any, producer: Any, expected: int) -> Any:
        if producer is None or producer.flight or event.seq < expected:
            return old(self, event, producer, expected)
        producer.last = event.seq - 1
        producer.memory = _Memory(event.seq, self._settings.producer_history)
        return None

    old = swap(stack, Pushes, "_out_of_turn", out_of_turn)


@mutant
def a_failed_repeat_takes_back_what_was_heard(stack: ExitStack) -> None:
    swap(stack, Waiting, "is_not_sent", lambda self, caller: self.sent_to.clear())


@mutant
def a_confirm_goes_to_another_connection(stack: ExitStack) -> None:
    stack.enter_context(patch.object(pushes, "_same_place", lambda one, other: True))


# ---- groups that end and begin anew -------------------------------------------------------------


@mutant
def a_number_is_used_again(stack: ExitStack) -> None:
    def delete(self: Groups, group: Group, now: int) -> int:
        batch = old(self, group, now)
        self._next_gid = group.record.gid
        return batch

    old = swap(stack, Groups, "delete", delete)


@mutant
def old_leases_count_in_a_new_group(stack: ExitStack) -> None:
    def past(self: Leases, lease_id: bytes) -> Any:
        known = old(self, lease_id)
        own = int.from_bytes(lease_id[4:], "big") >> 36 == self._base >> 36
        return known if own or lease_id[4:] >= bytes((255,)) * 8 else Past.FORGOTTEN

    old = swap(stack, Leases, "past", past)


@mutant
def a_deletion_is_not_written(stack: ExitStack) -> None:
    def add(self: Journal, op: Any, now: int) -> None:
        if not isinstance(op, DropGroup):
            old(self, op, now)

    old = swap(stack, Journal, "add", add)


@mutant
def a_deletion_is_answered_at_once(stack: ExitStack) -> None:
    old = swap(stack, Groups, "delete", lambda self, *args: old(self, *args) and 0)


@mutant
def a_trim_does_not_wait_for_groups_to_come_and_go(stack: ExitStack) -> None:
    swap(stack, Trimmer, "wait_for", lambda self, commit: None)


@mutant
def a_new_group_begins_behind_the_old_one(stack: ExitStack) -> None:
    def make(self: Groups, plan: Any, start: int, *rest: Any) -> Any:
        return old(self, plan, start + (self._next_gid > 3), *rest)

    old = swap(stack, Groups, "make", make)


@mutant
def a_group_is_made_before_it_is_durable(stack: ExitStack) -> None:
    def begin(self: Polls, parts: Any, expiry: Any, made_in: int, *rest: Any) -> None:
        old(self, parts, expiry, 0, *rest)

    old = swap(stack, Polls, "__init__", begin)


@mutant
def a_deleted_group_answers_with_leases(stack: ExitStack) -> None:
    def sent(self: Broker, since: int, now: int) -> None:
        waiting = self._out[since:]
        old(self, since, now)
        for at, effect in enumerate(waiting, since):
            if getattr(effect, "leases", ()) and self._groups.get(effect.group) is None:
                self._out[at] = effect

    old = swap(stack, Broker, "_sent", sent)


@mutant
def a_group_that_differs_is_taken_for_the_same(stack: ExitStack) -> None:
    swap(stack, Operator, "_difference", lambda self, known, args: "")


@mutant
def a_start_by_time_is_one_late(stack: ExitStack) -> None:
    def found(self: Groups, name: str, position: int, *rest: Any) -> Any:
        return old(self, name, position + 1, *rest)

    old = swap(stack, Groups, "time_found", found)


@mutant
def a_start_by_time_is_the_end(stack: ExitStack) -> None:
    def found(self: Groups, name: str, position: int, earliest: int, end: int, now: int) -> Any:
        return old(self, name, end, earliest, end, now)

    old = swap(stack, Groups, "time_found", found)


@mutant
def what_waits_for_a_start_is_forgotten(stack: ExitStack) -> None:
    old = swap(stack, Groups, "time_found", lambda self, *args: old(self, *args)[:1])


@mutant
def the_latest_is_the_first(stack: ExitStack) -> None:
    def planned(self: Groups, plan: Any, *rest: Any) -> Any:
        start = "earliest" if plan.start == "latest" else plan.start
        return old(self, plan._replace(start=start), *rest)

    old = swap(stack, Groups, "plan", planned)
