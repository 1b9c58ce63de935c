"""The auditor's opinion of what operators and readers are told.

Owns listings, retries, drops and reads. A retry opens a message again; a drop settles it.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

from laybyd.core.effects import ReadOut
from laybyd.core.events import Operate, Read
from laybyd.core.types import DEAD, DEFERRED
from tests.simulation.audit_group import GroupBook
from tests.simulation.audit_log import LogBook, demand, matches
from tests.simulation.audit_topics import Deletions
from tests.simulation.standing import Mark, Standing, union


class Changed(NamedTuple):
    """One message of a retry or drop: what the book said, and says until the answer comes; and the
    lease that had it when that was asked for."""

    mark: Mark
    before: Standing
    after: Standing
    done: Standing
    holder: bytes | None


class Operations:
    def __init__(self) -> None:
        self._waiting: dict[Hashable, list[Changed]] = {}

    def forget(self) -> None:
        self._waiting.clear()

    def asked(self, ticket: Hashable, event: Operate, book: GroupBook, now: int) -> None:
        if event.verb not in ("retry", "drop"):
            return
        ranges: Any = event.args["ranges"]
        self._waiting[ticket] = [
            self._change(book.marks.setdefault(position, Mark(position)), event, now)
            for first, last in ranges
            for position in range(first, last + 1)
        ]

    def _change(self, mark: Mark, event: Operate, now: int) -> Changed:
        """It takes effect when the record has been looked up, unless it is out by then."""
        before = mark.now
        if event.verb == "drop":
            done = Standing(done=True, low=before.low, high=before.high)
        else:
            # What a late outcome without an answer yet is to make of it, it may make afterwards.
            anew = event.args["lane"] == DEAD
            done = Standing(
                deferred=True,
                dead=not anew and any(one.dead for one in mark.pending),
                done=any(one.done for one in mark.pending),
                low=0 if anew else before.low,
                high=0 if anew else before.high,
                due_us=now,
                counted_due_us=now,
            )
        mark.change(union((before, done)))
        return Changed(mark, before, mark.now, done, mark.holder)

    def answered(self, ticket: Hashable, fields: Mapping[str, Any]) -> None:
        missing = {at for first, last in fields.get("missing", ()) for at in range(first, last + 1)}
        changes = self._waiting.pop(ticket, [])
        if not changes:
            return
        done = sum(change.mark.position not in missing for change in changes)
        demand(fields["done"] == done, f"{fields['done']} done, {done} not missing")
        for change in changes:
            self._settle(change, change.mark.position in missing)

    def _settle(self, change: Changed, missing: bool) -> None:
        mark = change.mark
        if missing:
            if mark.now is change.after:
                mark.now = change.before
            return
        has_ended = change.holder in mark.ended
        mark.reopen()
        if mark.holder is not None:
            return
        if mark.now is change.after:
            mark.change(change.done)
            mark.confirm(change.done)
        elif has_ended and mark.now.deferred:
            # Its lease ended when it was looked up: the broker had not seen that before.
            mark.change(union((mark.now, change.done)))

    def listed(self, event: Operate, book: GroupBook, fields: Mapping[str, Any]) -> None:
        """What is listed in a lane may be there."""
        if event.verb != "parked":
            return
        for one in fields["parked"]:
            for position in range(one["from"], one["to"] + 1):
                mark = book.marks[position]
                there = mark.now.dead if event.args["lane"] == DEAD else mark.now.deferred
                pending = any(_is_in(event.args["lane"], old) for old in (mark.disk, *mark.pending))
                demand(there or pending, f"{position} is listed {event.args['lane']}: {mark.now}")


def check_read(
    log: LogBook, deletions: Deletions, trimmed: int, event: Read, effect: ReadOut
) -> None:
    """Every message of its topics, in order, up to `next`; but for those trimmed meanwhile, and
    for those deleted with their topic."""
    assert event.first is not None
    got = [
        position
        for _, pieces in effect.blocks
        for piece in pieces
        for position in range(piece.first, piece.last + 1)
    ]
    demand(len(got) <= max(1, event.limit), f"{len(got)} messages read, limit {event.limit}")
    want = [
        position
        for position in range(event.first, effect.next)
        if matches(event.topics, topic := log.row_at(position).topic)
        and not deletions.gone(topic, position)
    ]
    missed = sorted(set(want) - set(got))
    demand(got == sorted(set(got)) and not set(got) - set(want), f"{got} read, {want} are there")
    demand(not missed or missed[-1] < trimmed, f"{missed} left out of a read up to {effect.next}")


def _is_in(lane: object, standing: Standing) -> bool:
    return standing.dead if lane == DEAD else standing.deferred if lane == DEFERRED else False
