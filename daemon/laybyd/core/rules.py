"""What becomes of a message that fails: when it is due again, when it is dead, how it is halved.

Owns attempts, backoff, histories and halves, as functions from a record to records. Must never
know where records lie or who holds them. Only a message that stands alone is ever counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from laybyd.core.live import MESSAGES_MAX, Span
from laybyd.core.settings import CoreSettings, GroupSettings
from laybyd.core.space import Space
from laybyd.core.types import DEAD, DEFERRED, Failure, Parked, Piece

STARTED_RELEASES_MAX = 5
"""A started message released so often is counted as failed."""

TERSE = (1, 2, 100)
"""Lines of a history, first and last, and bytes of a reason, at most while the delivery state is
full."""

RELEASED = "released"
"""The reason it is then given."""

News = list[tuple[str, Parked]]
"""Records and the lane each goes to."""


def part_of(gid: int, spans: Sequence[Span]) -> tuple[Parked, tuple[Piece, ...]]:
    """Neighbouring spans of the live lane as one record, and where its bytes are."""
    row = spans[0].row
    part = Parked(
        gid=gid,
        first=spans[0].first,
        last=spans[-1].last,
        topic=row.topic,
        attempts=0,
        due_us=0,
        delay_us=0,
        size=sum(span.size for span in spans),
        block=spans[0].first,
        at_us=row.at_us,
    )
    return part, tuple(Piece(span.first, span.last, span.row.first) for span in spans)


def cut_pieces(pieces: Sequence[Piece], first: int, last: int) -> tuple[Piece, ...]:
    return tuple(
        piece._replace(first=max(first, piece.first), last=min(last, piece.last))
        for piece in pieces
        if piece.last >= first and piece.first <= last
    )


def cut(part: Parked, first: int, last: int) -> Parked:
    if (first, last) == (part.first, part.last):
        return part
    size = max(1, part.size * (last - first + 1) // part.messages)
    return part._replace(first=first, last=last, size=size)


def deliveries_before(record: Parked, boot: int) -> int:
    """How often a record was handed out in this boot, by its history."""
    here = sum(1 for failure in record.history if failure.boot == boot)
    return record.failures if here and here == len(record.history) else here


def cut_text(text: str, bytes_max: int) -> str:
    raw = text.encode()
    return text if len(raw) <= bytes_max else raw[:bytes_max].decode(errors="ignore")


class Trouble:
    """Who saw a failure, and why, and when: one line of a history."""

    __slots__ = ("consumer", "lease", "now", "reason")

    def __init__(self, reason: str, consumer: str, lease: bytes, now: int) -> None:
        self.reason = reason
        self.consumer = consumer
        self.lease = lease
        self.now = now


class Rules:
    def __init__(self, boot: int, core: CoreSettings, group: GroupSettings, space: Space) -> None:
        self._boot = boot
        self._core = core
        self._space = space
        self.group = group

    def failed(self, part: Parked, trouble: Trouble, alone: bool = True) -> News:
        """One message alone is counted; of several one is bad, nobody knows which."""
        if not alone or part.messages > 1:
            return self.suspects([part], trouble)
        attempts = part.attempts + 1
        part = self._noted(part, trouble, True, attempts=attempts, alone=False)
        if attempts >= self.group.max_attempts:
            return [(DEAD, part._replace(due_us=trouble.now, delay_us=0))]
        backoff = self.group.backoff_us
        return [_due(part, trouble.now, backoff[min(attempts, len(backoff)) - 1])]

    def suspects(self, parts: Sequence[Parked], trouble: Trouble) -> News:
        """Of one lease, in halves, uncounted, due at once; each comes alone next time."""
        half = sum(part.messages for part in parts) // 2
        news: News = []
        for part in parts:
            for first, last in _runs(part, half):
                news.append(self._suspect(cut(part, first, last), trouble))
            half -= part.messages
        return news

    def _suspect(self, part: Parked, trouble: Trouble) -> tuple[str, Parked]:
        due_us = trouble.now
        return DEFERRED, self._noted(part, trouble, False, alone=True, due_us=due_us, delay_us=0)

    def deferred(self, part: Parked, delay_us: int, trouble: Trouble) -> News:
        noted = self._noted(part, trouble, False)
        return [
            _due(cut(noted, first, last), trouble.now, delay_us)
            for first, last in _runs(part, part.messages)
        ]

    def rejected(self, part: Parked, trouble: Trouble) -> News:
        return [(DEAD, self._noted(part, trouble, False, due_us=trouble.now, delay_us=0))]

    def released(self, part: Parked, started: bool, trouble: Trouble) -> News:
        """Of the deferred lane: due at once, uncounted, until it was started too often."""
        if not started:
            return [_due(part, trouble.now, 0)]
        part = part._replace(releases=part.releases + 1)
        if part.releases >= STARTED_RELEASES_MAX:
            return self.failed(part._replace(releases=0), trouble)
        return [_due(part, trouble.now, 0)]

    def retried(self, part: Parked, lane: str, now: int) -> News:
        """An operator re-opens it; of a dead one that is a new generation."""
        if lane == DEAD:
            part = part._replace(attempts=0, releases=0, generation=part.generation + 1)
        return [_due(part._replace(lease=b""), now, 0)]

    def _noted(self, part: Parked, trouble: Trouble, counted: bool, **changes: Any) -> Parked:
        """With a line more in its history, and what else has changed."""
        first, last, reason_bytes = self._room_for_history
        reason = cut_text(trouble.reason, reason_bytes)
        line = Failure(trouble.now, reason, trouble.consumer, counted, self._boot, trouble.lease)
        history = (*part.history, line)
        if len(history) > first + last:
            history = history[:first] + history[-last:]
        failures = part.failures + 1
        return part._replace(history=history, failures=failures, lease=trouble.lease, **changes)

    @property
    def _room_for_history(self) -> tuple[int, int, int]:
        """How many lines, first and last, and of how many bytes each: few when room is scarce."""
        core = self._core
        most = (core.history_first, core.history_last, core.reason_bytes_max)
        if not self._space.state_full:
            return most
        first, last, size = map(min, most, TERSE)
        return first, last, size


def _due(part: Parked, now: int, delay_us: int) -> tuple[str, Parked]:
    return DEFERRED, part._replace(due_us=now + delay_us, delay_us=delay_us)


def _runs(part: Parked, half: int) -> list[tuple[int, int]]:
    """The part, cut after `half` messages (if that is inside) and below MESSAGES_MAX each."""
    middle = part.first + half
    bounds = [part.first, middle] if part.first < middle <= part.last else [part.first]
    runs = []
    for first, end in zip(bounds, [*bounds[1:], part.last + 1], strict=True):
        while first < end:
            last = min(end, first + MESSAGES_MAX) - 1
            runs.append((first, last))
            first = last + 1
    return runs
