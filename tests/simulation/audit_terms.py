"""The auditor's account of what a group reads and how it is treated, since when.

Owns the terms of one group: its record as it was made and as each request changed it, and which of
them the disk is sure to hold. A change counts from the moment it was asked for; that it is durable,
from its commit. Knows nothing of leases or outcomes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from laybyd.core.settings import GroupSettings
from laybyd.core.types import GroupRecord
from tests.simulation.audit_log import demand, matches


class Term(NamedTuple):
    """In force from `since_us` on. `end`: where the log ended then; what came later has known none
    before this one."""

    record: GroupRecord
    settings: GroupSettings
    since_us: int
    end: int


class Terms:
    """`_written`: up to here they were given to the disk; `_durable`: up to here it has them."""

    def __init__(self, record: GroupRecord, usual: GroupSettings) -> None:
        self._usual = usual
        self._terms = [self._term(record, 0, 0)]
        self._written = self._durable = 0

    def _term(self, record: GroupRecord, since_us: int, end: int) -> Term:
        settings = self._usual._replace(**dict(record.overrides))  # type: ignore[arg-type]
        return Term(record, settings, since_us, end)

    @property
    def now(self) -> Term:
        return self._terms[-1]

    def since(self, us: int) -> list[Term]:
        """Those in force at that moment or later. Of one moment the one before counts, too: what
        was judged by it may come out only with the change."""
        before = (at for at, term in enumerate(self._terms) if term.since_us < us)
        return self._terms[max(before, default=0) :]

    def attempts(self, us: int) -> tuple[int, int]:
        """The fewest and the most failures that made a message dead, then or later."""
        numbers = [term.settings.max_attempts for term in self.since(us)]
        return min(numbers), max(numbers)

    def backoffs(self, attempts: int, us: int) -> set[int]:
        """How long one that fails with so many failures behind it waits, then or later."""
        lists = [term.settings.backoff_us for term in self.since(us)]
        return {backoff[min(attempts, len(backoff) - 1)] for backoff in lists}

    def least_backoff(self, us: int) -> int:
        return min(min(term.settings.backoff_us) for term in self.since(us))

    # ---- changes ----------------------------------------------------------------------------

    def change(self, args: Mapping[str, Any], now: int, end: int) -> Term:
        """What is not named stays as it is."""
        record = self.now.record
        topics = tuple(args.get("topics", record.topics))
        overrides = dict(record.overrides) | args.get("settings", {})
        changed = record._replace(topics=topics, overrides=tuple(overrides.items()))
        self._terms.append(self._term(changed, now, end))
        return self.now

    def written(self, record: GroupRecord) -> None:
        at = self._find(record, self._written + 1, len(self._terms))
        demand(at, f"{record} is written, which nobody asked for: {self.now.record}")
        self._written = at

    def durable(self, record: GroupRecord) -> None:
        found = self._find(record, self._durable + 1, self._written + 1)
        self._durable = found or self._durable

    def is_durable(self, term: Term) -> bool:
        return any(term is one for one in self._terms[: self._durable + 1])

    def reopened(self, record: GroupRecord) -> None:
        """After a crash: what was durable at least, and of what was written nothing half."""
        found = [
            at for at in range(self._durable, self._written + 1) if _same(self._terms[at], record)
        ]
        demand(found, f"{self.now.record} has become {record}")
        self._written = self._durable = found[-1]
        del self._terms[found[-1] + 1 :]

    def _find(self, record: GroupRecord, first: int, end: int) -> int:
        return next((at for at in range(first, end) if _same(self._terms[at], record)), 0)

    # ---- what they say of a position ------------------------------------------------------------

    def reads(self, topic: str, since_us: int | None = None) -> bool:
        """Now, or at any time since."""
        terms = [self.now] if since_us is None else self.since(since_us)
        return any(_reads(term.record.topics, topic) for term in terms)

    def reads_on_disk(self, topic: str) -> bool:
        return _reads(self._terms[self._durable].record.topics, topic)

    def has_read(self, topic: str, position: int) -> bool:
        """At any time since it came."""
        return any(_reads(term.record.topics, topic) for term in self._of(position))

    def always_reads(self, topic: str, position: int) -> bool:
        """All the time since it came: what was not read for a while was skipped, perhaps, and
        whoever reads it again begins where the group stands."""
        return all(_reads(term.record.topics, topic) for term in self._of(position))

    def always_read_on_disk(self, topic: str, position: int) -> bool:
        """Up to what a crash is sure to find."""
        terms = self._of(position, self._durable + 1)
        return all(_reads(term.record.topics, topic) for term in terms)

    def _of(self, position: int, end: int | None = None) -> list[Term]:
        if len(self._terms) == 1:
            return self._terms
        known = self._terms[:end]
        born = max((at for at, term in enumerate(known) if term.end <= position), default=0)
        return known[born:]


@cache
def _reads(topics: tuple[str, ...], topic: str) -> bool:
    """Asked for every message, again and again."""
    return matches(topics, topic)


def _same(term: Term, record: GroupRecord) -> bool:
    return _plain(term.record) == _plain(record)


def _plain(record: GroupRecord) -> tuple[object, ...]:
    return (*record._replace(overrides=()), dict(record.overrides))
