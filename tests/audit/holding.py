"""Who may hold a message when: one at a time, in order, and nobody after its ack.

Owns those promises. Must never know what a failure costs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.audit.evidence import NEVER, Breach, positions
from tests.audit.grants import ACK, REJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.audit.evidence import Call, Case
    from tests.audit.grants import Book, Grant, Outcome, Past

HOLDER = "a message has one holder at a time"
ORDER = "live messages are first handed out in order"
SETTLED = "what is settled is not handed out again"
COUNTS = "a holder's outcome is taken"
LIVE = "live"


def breaches(case: Case, book: Book) -> Iterator[Breach]:
    yield from _order(book)
    reopened = Reopened(case, book.name)
    for position, past in book.pasts.items():
        yield from _one_holder(position, past)
        yield from _settled(position, past, reopened)
        yield from _outcomes(position, past, book)


def _order(book: Book) -> Iterator[Breach]:
    """What was handed out before and came back counts as handed out."""
    for grants in book.boots.values():
        before: tuple[int, Grant] | None = None
        for grant in grants:
            if grant.lane != LIVE:
                continue
            first = [at for at in grant.places if grant.deliveries.get(at, 1) == 1]
            if grant.places != sorted(grant.places):
                text = f"{grant.name} holds {grant.places[:8]}: not in order"
                yield Breach(ORDER, text, [grant.line])
            if not first:
                continue
            if before is not None and min(first) <= before[0]:
                text = f"{before[1].name} went up to {before[0]}, then {grant.name} began at "
                text += f"{min(first)}"
                yield Breach(ORDER, text, [before[1].line, grant.line])
            before = max(first), grant


def _one_holder(position: int, past: Past) -> Iterator[Breach]:
    """The grant of the higher number is the later one: certainly given at `high`."""
    holder: Grant | None = None
    for grant in past.grants:
        if holder is not None and holder.boot == grant.boot:
            until = holder.held_until(position)
            if grant.high < until:
                text = f"{position} is held by {holder.session} under {holder.name} for another "
                text += f"{until - grant.high} us, and is given to {grant.session} by {grant.name}"
                yield Breach(HOLDER, text, [holder.line, grant.line])
            elif grant.held_until(position) < until:
                continue
        holder = grant


class Reopened:
    """When an operator may have opened dead messages of a group again: generations."""

    def __init__(self, case: Case, group: str) -> None:
        self._at: dict[int, list[Call]] = {}
        for call in case.of("retry"):
            if call["group"] == group and call["lane"] == "dead" and not call.refused:
                missing = set(positions(call.said("missing") or ()))
                for at in positions(call["ranges"]):
                    if at not in missing:
                        self._at.setdefault(at, []).append(call)
        self.dropped: dict[int, Call] = {}
        for call in case.of("drop"):
            if call["group"] == group and call.ok and not call.said("missing"):
                for at in positions(call["ranges"]):
                    self.dropped.setdefault(at, call)

    def between(self, position: int, since: int, until: int) -> bool:
        """Whether an operator may have done it in that time."""
        return any(call.t0 <= until and call.t1 >= since for call in self._at.get(position, ()))


def _settled(position: int, past: Past, reopened: Reopened) -> Iterator[Breach]:
    # What is told again is answered alike, though an operator has opened the message between.
    began: dict[tuple[str, str], int] = {}
    for one in past.outcomes:
        began[one.lease, one.what] = min(one.call.t0, began.get((one.lease, one.what), NEVER))
    ends = [
        (one.call, one.what, began[one.lease, one.what])
        for one in past.outcomes
        if one.taken and one.what in (ACK, REJECT)
    ]
    if position in reopened.dropped:
        drop = reopened.dropped[position]
        ends.append((drop, "drop", drop.t0))
    if not ends:
        return
    for grant in past.grants:
        for call, what, since in ends:
            later_boot = grant.boot > call.said("boot")
            if not later_boot and (grant.boot < call.said("boot") or grant.low <= call.t1):
                continue
            if what != ACK and reopened.between(position, since, grant.high):
                continue
            text = f"{position} is given by {grant.name}"
            text += f" although its {what} was confirmed {grant.high - call.t1} us before"
            yield Breach(SETTLED, text, [*call.lines, grant.line])
            return


def _outcomes(position: int, past: Past, book: Book) -> Iterator[Breach]:
    told: set[str] = set()
    for outcome in sorted(past.outcomes, key=lambda one: one.call.t0):
        if outcome.lease not in told and outcome.code is not None:
            yield from _judge_refusal(position, outcome, book)
        told.add(outcome.lease)


def _judge_refusal(position: int, outcome: Outcome, book: Book) -> Iterator[Breach]:
    """The first that its holder told of it, and the lease cannot have ended yet."""
    grant = book.leases.get(outcome.lease)
    if grant is None or position not in grant.places or not outcome.call.ok:
        return
    lasts = min(grant.end_us, grant.limits.get(position, grant.end_us))
    if outcome.call.t1 < lasts and outcome.call.said("boot") == grant.boot:
        text = f"{outcome.what} of {position} under {grant.name} was refused {outcome.code}, "
        text += f"{lasts - outcome.call.t1} us before the lease may end"
        yield Breach(COUNTS, text, [grant.line, *outcome.call.lines])
