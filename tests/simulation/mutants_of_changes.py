"""Bugs planted into what operators change: topics that are deleted, groups that are given another
subscription or other settings.

Owns a short list of plausible mistakes, each to be found by some seed.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from laybyd.core.effects import ForgetTopic, SaveGroup
from laybyd.core.group import Group
from laybyd.core.groups import Groups
from laybyd.core.journal import Journal
from laybyd.core.live import Live
from laybyd.core.operate import Operator, _Answered
from laybyd.core.parking import Parking
from laybyd.core.reads import Reads
from laybyd.core.topics import Topic, Topics
from laybyd.core.trim import Trimmer
from laybyd.core.types import GroupRecord
from tests.simulation.planting import mutant, swap

# ---- topics that are deleted --------------------------------------------------------------------


@mutant
def a_deleted_topic_goes_on(stack: ExitStack) -> None:
    swap(stack, Topics, "is_forgotten", lambda self, topic, last: False)


@mutant
def a_deleted_topic_never_comes_back(stack: ExitStack) -> None:
    swap(stack, Topics, "is_forgotten", lambda self, topic, last: topic in self.forgotten)


@mutant
def a_topic_is_deleted_one_row_short(stack: ExitStack) -> None:
    def is_forgotten(self: Topics, topic: str, last: int) -> bool:
        return old(self, topic, last + 5)

    old = swap(stack, Topics, "is_forgotten", is_forgotten)


@mutant
def what_waits_of_a_deleted_topic_goes_on_waiting(stack: ExitStack) -> None:
    swap(stack, Group, "forget", lambda self, now: None)


@mutant
def what_is_deferred_stays_where_a_deleted_topic_is_not_read_any_more(stack: ExitStack) -> None:
    def drop(self: Group, now: int) -> None:
        if all(self.matches(topic) for topic in self._shared.topics.forgotten):
            old(self, now)

    old = swap(stack, Group, "_drop_forgotten", drop)


@mutant
def what_is_deferred_of_a_deleted_topic_stays(stack: ExitStack) -> None:
    swap(stack, Group, "_drop_forgotten", lambda self, now: None)


@mutant
def what_fails_of_a_deleted_topic_comes_again(stack: ExitStack) -> None:
    swap(stack, Parking, "_without_forgotten", lambda self, news: news)


@mutant
def what_comes_back_of_a_deleted_topic_comes_again(stack: ExitStack) -> None:
    def give_back(self: Live, span: Any) -> None:
        self.returned.add(span)
        self.ready += span.messages

    swap(stack, Live, "give_back", give_back)


@mutant
def what_is_out_of_a_deleted_topic_is_taken_away(stack: ExitStack) -> None:
    def forget(self: Group, now: int) -> None:
        for lease in list(self.parts.leases.live.values()):
            if self._shared.topics.is_forgotten(_topic_of(lease), lease.ranges.last):
                self._expiry.undo(lease, now)
        old(self, now)

    old = swap(stack, Group, "forget", forget)


def _topic_of(lease: Any) -> str:
    held = [span.row for span in lease.spans] + [one.record for one in lease.records]
    return str(held[0].topic)


@mutant
def a_deleted_topic_takes_another_along(stack: ExitStack) -> None:
    def is_forgotten(self: Topics, topic: str, last: int) -> bool:
        return last < max(self.forgotten.values(), default=0)

    swap(stack, Topics, "is_forgotten", is_forgotten)


@mutant
def a_deleted_topic_is_read_without_a_group(stack: ExitStack) -> None:
    swap(stack, Reads, "_is_wanted", lambda self, reader, row: reader.matcher(row.topic))


@mutant
def a_deletion_of_a_topic_is_answered_at_once(stack: ExitStack) -> None:
    def begin(self: _Answered, out: list[Any], *reply: Any) -> None:
        out.extend(reply)
        old(self, out)

    old = swap(stack, _Answered, "__init__", begin)


@mutant
def a_deletion_of_a_topic_is_forgotten_too_soon(stack: ExitStack) -> None:
    old = swap(stack, Topics, "remember", lambda self, start: old(self, 1 << 53))


@mutant
def a_deletion_of_a_topic_ends_with_the_process(stack: ExitStack) -> None:
    def begin(self: Topics, states: Any, forgotten: Any) -> None:
        old(self, states, {})

    old = swap(stack, Topics, "__init__", begin)


@mutant
def a_deleted_topic_pins_the_log(stack: ExitStack) -> None:
    def forget(self: Topics, name: str, below: int) -> None:
        kept = self._topics[name]
        old(self, name, below)
        self._topics[name] = kept

    old = swap(stack, Topics, "forget", forget)


@mutant
def a_topic_that_comes_again_is_not_noted(stack: ExitStack) -> None:
    def add(self: Topics, row: Any) -> Topic | None:
        if row.topic in self.forgotten and row.topic not in self._topics:
            return None
        return old(self, row)

    old = swap(stack, Topics, "add", add)


@mutant
def the_log_is_not_freed_while_a_deletion_is_remembered(stack: ExitStack) -> None:
    def look(self: Trimmer, groups: Any, topics: Topics, log_end: int, *rest: Any) -> Any:
        return old(self, groups, topics, self._start if topics.forgotten else log_end, *rest)

    old = swap(stack, Trimmer, "look", look)


@mutant
def the_log_is_freed_before_the_deletion_is_durable(stack: ExitStack) -> None:
    def wait_for(self: Trimmer, commit: int) -> None:
        self._at = self._last

    swap(stack, Trimmer, "wait_for", wait_for)


# ---- groups that are changed --------------------------------------------------------------------


def _changed(stack: ExitStack, change: Any) -> Any:
    return swap(stack, Group, "change", change)


@mutant
def another_subscription_is_not_for_what_waits(stack: ExitStack) -> None:
    def change(self: Group, record: GroupRecord, now: int) -> int:
        with ExitStack() as inner:
            swap(inner, Group, "forget", lambda self, now: None)
            return int(old(self, record, now))

    old = _changed(stack, change)


@mutant
def another_subscription_is_for_a_restart(stack: ExitStack) -> None:
    def change(self: Group, record: GroupRecord, now: int) -> int:
        matcher, batch = self._matcher, old(self, record, now)
        self._matcher = matcher
        return int(batch)

    old = _changed(stack, change)


@mutant
def another_subscription_skips_what_comes_next(stack: ExitStack) -> None:
    def change(self: Group, record: GroupRecord, now: int) -> int:
        if set(record.topics) != set(self.record.topics):
            end = self.parts.live.log_end
            self._skip(end, end + 20)
        return int(old(self, record, now))

    old = _changed(stack, change)


@mutant
def other_settings_are_for_a_restart(stack: ExitStack) -> None:
    def change(self: Group, record: GroupRecord, now: int) -> int:
        settings, batch = self.parts.rules.group, old(self, record, now)
        self.parts.rules.group = settings
        return int(batch)

    old = _changed(stack, change)


@mutant
def max_attempts_cannot_be_changed(stack: ExitStack) -> None:
    def change(self: Group, record: GroupRecord, now: int) -> int:
        settings, batch = self.parts.rules.group, old(self, record, now)
        self.parts.rules.group = self.parts.rules.group._replace(max_attempts=settings.max_attempts)
        return int(batch)

    old = _changed(stack, change)


@mutant
def the_backoff_cannot_be_changed(stack: ExitStack) -> None:
    def change(self: Group, record: GroupRecord, now: int) -> int:
        settings, batch = self.parts.rules.group, old(self, record, now)
        self.parts.rules.group = self.parts.rules.group._replace(backoff_us=settings.backoff_us)
        return int(batch)

    old = _changed(stack, change)


@mutant
def other_settings_take_the_old_ones_away(stack: ExitStack) -> None:
    def set_group(self: Operator, event: Any, args: Any, now: int) -> None:
        group = self._world.groups.get(args["group"])
        if group is not None:
            group.record = group.record._replace(overrides=())
        old(self, event, args, now)

    old = swap(stack, Operator, "_set_group", set_group)


@mutant
def another_subscription_is_not_counted_at_its_topics(stack: ExitStack) -> None:
    swap(stack, Groups, "recount", lambda self: None)


@mutant
def a_change_is_not_written(stack: ExitStack) -> None:
    def add(self: Journal, op: Any, now: int) -> None:
        if not isinstance(op, SaveGroup) or self.durable == 0:
            old(self, op, now)

    old = swap(stack, Journal, "add", add)


@mutant
def a_change_is_answered_at_once(stack: ExitStack) -> None:
    old = _changed(stack, lambda self, record, now: old(self, record, now) and 0)


@mutant
def a_deletion_of_a_topic_is_not_written(stack: ExitStack) -> None:
    def delete(self: Operator, event: Any, args: Any, now: int) -> None:
        since = len(self._world.out)
        old(self, event, args, now)
        for at, effect in enumerate(self._world.out[since:], since):
            ops = getattr(effect, "ops", ())
            if any(isinstance(op, ForgetTopic) for op in ops):
                self._world.out[at] = effect._replace(ops=())

    old = swap(stack, Operator, "_delete_topic", delete)
