"""The auditor's opinion of which messages are a group's to have.

Owns what follows for a position from the group's start, from what it reads and has read, and from
deleted topics: whether it may be handed out, whether it must be, whether the log must keep it.
"""

from __future__ import annotations

from collections.abc import Iterator

from laybyd.core.types import LIVE
from tests.simulation.audit_log import LogBook
from tests.simulation.audit_terms import Terms
from tests.simulation.audit_topics import Deletions


class Scope:
    def __init__(self, terms: Terms, log: LogBook, deletions: Deletions) -> None:
        self._terms = terms
        self._log = log
        self._deletions = deletions
        self._start = terms.now.record.start

    def fault(self, position: int, lane: str, hidden: int | None) -> str:
        """Why it may not be handed out; "" if it may. `hidden`: it may have been decided at any
        time since. What is parked stays so when the group reads something else."""
        if not self._start <= position < self._log.end:
            return "not of this group"
        topic = self._log.row_at(position).topic
        if self._deletions.gone(topic, position, hidden):
            return f"{topic} was deleted"
        if lane == LIVE:
            reads = self._terms.reads(topic, hidden)
        else:
            reads = self._terms.has_read(topic, position)
        return "" if reads else f"{topic} is not read"

    def is_certain(self, position: int) -> bool:
        """It is the group's for certain, until it is settled."""
        if not self._start <= position < self._log.end:
            return False
        return self._has(self._log.row_at(position).topic, position)

    def is_kept(self, position: int) -> bool:
        """After a crash that comes now it would be the group's for certain."""
        if not self._start <= position < self._log.end:
            return False
        topic = self._log.row_at(position).topic
        is_gone = self._deletions.gone_on_disk(topic, position)
        return not is_gone and self._terms.always_read_on_disk(topic, position)

    def certain(self) -> Iterator[int]:
        """All that is the group's for certain."""
        for row in self._log.rows_from(self._start):
            first = max(row.first, self._start)
            if first <= row.last and self._has(row.topic, first):
                yield from range(first, row.last + 1)

    def _has(self, topic: str, position: int) -> bool:
        is_gone = self._deletions.gone(topic, position)
        return not is_gone and self._terms.always_reads(topic, position)
