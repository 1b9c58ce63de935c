"""The auditor's list of topics that were deleted, and up to where.

Owns deletions: each counts from the moment the broker writes it down, which must be when somebody
asked for it, and is never taken back but by a crash that comes before its commit. Knows nothing of
groups.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from laybyd.core.effects import ForgetTopic
from laybyd.store import records
from laybyd.store.memory import MemoryStore
from tests.simulation.audit_log import LogBook, demand


class Deletion:
    """Messages of the topic below `below` are gone."""

    def __init__(self, topic: str, below: int, since_us: int) -> None:
        self.topic = topic
        self.below = below
        self.since_us = since_us
        self.is_durable = False


class Deletions:
    """`_unmarked`: up to where the broker says that its disk need not remember a topic's end."""

    def __init__(self, log: LogBook) -> None:
        self._log = log
        self._of: dict[str, list[Deletion]] = {}
        self._unmarked: dict[str, int] = {}

    # ---- what becomes of a topic ----------------------------------------------------------------

    def written(self, op: ForgetTopic, event: Any, store: MemoryStore, now: int) -> Deletion | None:
        """`event` is what the broker is at: only a request deletes a topic, all that it has heard
        of by then and no more."""
        if not op.below:
            self._forget(op.topic, store)
            return None
        asked = getattr(event, "verb", "") == "topic_delete" and event.args["topic"] == op.topic
        demand(asked, f"{op}, but what came is {event}")
        log, before = self._log, self.below(op.topic)
        there = any(row.topic == op.topic and row.first >= before for row in log.rows_from(before))
        demand(there, f"{op}, of which there is nothing since {before}")
        right = log.told_end <= op.below <= log.end
        demand(right, f"{op} is not at the log's end: {log.told_end}..{log.end}")
        deletion = Deletion(op.topic, op.below, now)
        self._of.setdefault(op.topic, []).append(deletion)
        return deletion

    def _forget(self, topic: str, store: MemoryStore) -> None:
        below, start = self.below(topic), store.facts().start
        demand(below <= start, f"{topic} was deleted up to {below}; the log begins at {start}")
        self._unmarked[topic] = below

    def durable(self, op: ForgetTopic) -> None:
        for deletion in self._of.get(op.topic, ()):
            deletion.is_durable |= deletion.below == op.below

    def reopened(self, store: MemoryStore) -> None:
        """After a crash: what was not durable may be lost."""
        marks = records.load_forgotten(store)
        for topic, deletions in self._of.items():
            found = marks.get(topic, 0)
            for one in list(deletions):
                if one.is_durable:
                    known = max(found, self._unmarked.get(topic, 0))
                    demand(known >= one.below, f"{topic} is deleted up to {known}, not {one.below}")
                elif found >= one.below:
                    one.is_durable = True
                else:
                    deletions.remove(one)

    # ---- what that says of a position -----------------------------------------------------------

    def below(self, topic: str) -> int:
        return max((one.below for one in self._of.get(topic, ())), default=0)

    def gone(self, topic: str, position: int, before_us: int | None = None) -> bool:
        """By what was deleted before that moment, or until now."""
        return any(
            position < one.below and (before_us is None or one.since_us < before_us)
            for one in self._of.get(topic, ())
        )

    def gone_on_disk(self, topic: str, position: int) -> bool:
        return any(one.is_durable and position < one.below for one in self._of.get(topic, ()))

    # ---- what operators are told ----------------------------------------------------------------

    def check_list(
        self, listed: Iterable[Mapping[str, Any]], readers: Callable[[str], int], store: MemoryStore
    ) -> None:
        """Topics are as they were told of, without what was deleted; and none is left out."""
        start, last = store.facts().start, self._last_told(store)
        known = {one["name"]: one for one in listed}
        missing = sorted(last.keys() - known.keys())
        demand(not missing, f"{missing} are not listed, and have {last}")
        for name, one in known.items():
            is_right = one["last"] < start or one["last"] == last.get(name)
            demand(is_right, f"{one}, but its last is {last.get(name)}")
            demand(one["first"] >= self.below(name), f"{one}, deleted up to {self.below(name)}")
            read = readers(name)
            demand(one["groups"] == read, f"{one}, but {read} groups read it")

    def _last_told(self, store: MemoryStore) -> dict[str, int]:
        start, end = store.facts().start, self._log.told_end
        return {
            row.topic: row.last
            for row in self._log.rows_from(start)
            if start <= row.first < end and not self.gone(row.topic, row.first)
        }

    def check_unknown(self, topic: str, store: MemoryStore) -> None:
        """There is no such topic: the log holds nothing of it that was told of and not deleted."""
        first = max(store.facts().start, self.below(topic))
        for row in self._log.rows_from(first):
            there = row.topic == topic and first <= row.first < self._log.told_end
            demand(not there, f"no topic {topic}? It has {row}")
