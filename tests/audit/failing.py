"""What failing costs a message: counted once and for ever, due no earlier than said, dead in time.

Owns those promises. Must never know who may hold what.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tests.audit.evidence import MS, Breach, positions
from tests.audit.grants import ACK, DEFER, FAILED, REJECT, RELEASE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.audit.evidence import Call, Case
    from tests.audit.grants import Book, Grant, Outcome, Past

SHRINK = "attempts never shrink"
COUNTED = "a confirmed failure of one message counts"
EARLY = "a deferred message never comes early"
DEAD = "a message is dead for a reason, and not also acked"

PARKED_US = 35_000_000
"""A poll may have been answered, unheard, so long after it was sent."""


class Failing:
    def __init__(self, case: Case, book: Book) -> None:
        self._book = book
        limits = case.limits(book.name)
        self._backoff_us = [ms * MS for ms in limits.get("backoff_ms") or ()]
        self._attempts_max = limits.get("max_attempts", 0)
        self._jumps_us = sum(max(0, line["by_us"]) for line in case.events["wall"])
        self._retries: dict[int, list[Call]] = {}
        for call in case.of("retry"):
            if call["group"] == book.name and not call.refused:
                for at in positions(call["ranges"]):
                    self._retries.setdefault(at, []).append(call)
        self._unheard = sorted(
            call.t0
            for call in case.of("poll")
            if call["group"] == book.name and (not call.ok or call.late)
        )
        self._dead = _listed_dead(case, book.name)

    def breaches(self) -> Iterator[Breach]:
        for position, past in self._book.pasts.items():
            for one, other in pairwise(past.grants):
                yield from self._between(position, past, one, other)
            yield from self._confirmed(position, past)
        for position, (listing, told) in self._dead.items():
            yield from self._died(position, listing, told)

    def _retried(self, position: int, since: int, until: int) -> bool:
        calls = self._retries.get(position, ())
        return any(call.t0 <= until and call.t1 >= since for call in calls)

    # ---- from one grant to the next

    def _between(self, position: int, past: Past, one: Grant, other: Grant) -> Iterator[Breach]:
        if self._retried(position, one.low, other.high):
            return
        had, has = one.attempts.get(position, 0), other.attempts.get(position, 0)
        if has < had:
            text = f"{position} had {had} attempts in {one.name} and {has} in {other.name}"
            yield Breach(SHRINK, text, [one.line, other.line])
        if _meddled(past, one, other):
            return
        ended = min(one.held_until(position), other.high)
        if has > had and self._backoff_us:
            wait_us = self._backoff_us[min(has, len(self._backoff_us)) - 1]
            yield from self._early(position, one, other, ended + wait_us, "its backoff")
        due_us = _asked_delay(past, one, other)
        yield from self._early(position, one, other, due_us, "the delay asked for")

    def _early(
        self, position: int, one: Grant, other: Grant, due_us: int, why: str
    ) -> Iterator[Breach]:
        """A wall clock that jumped over a restart makes what waits due sooner."""
        if other.boot != one.boot:
            due_us -= self._jumps_us
        if other.high < due_us:
            text = f"{position} of {one.name} comes again in {other.name}, {due_us - other.high} "
            text += f"us before {why} is over"
            yield Breach(EARLY, text, [one.line, other.line])

    # ---- a failure that was confirmed

    def _confirmed(self, position: int, past: Past) -> Iterator[Breach]:
        """Grants come in order, so the first that is certainly later tells."""
        for outcome in past.outcomes:
            lease = self._book.leases.get(outcome.lease)
            if outcome.what != FAILED or not outcome.taken or not outcome.single or lease is None:
                continue
            told = [one for one in past.outcomes if one.lease == outcome.lease]
            if any(one.what != FAILED or not one.single for one in told):
                continue
            least = lease.attempts.get(position, 0) + 1
            for grant in past.grants:
                if not _after(grant, outcome) or self._retried(position, lease.low, grant.high):
                    continue
                if grant.attempts.get(position, 0) < least:
                    text = f"{position} failed under {lease.name}, confirmed, and has "
                    text += f"{grant.attempts.get(position, 0)} attempts in {grant.name}"
                    yield Breach(COUNTED, text, [*outcome.call.lines, grant.line])
                break

    # ---- the dead

    def _died(self, position: int, listing: Call, told: int | None) -> Iterator[Breach]:
        """`told` are the attempts that the broker itself lists."""
        past = self._book.pasts.get(position)
        outcomes = past.outcomes if past else []
        for outcome in outcomes:
            if outcome.what == ACK and outcome.taken and outcome.call.t1 < listing.t0:
                text = f"{position} was acked, confirmed, and is listed as dead"
                yield Breach(DEAD, text, [*outcome.call.lines, *listing.lines])
        if any(one.what == REJECT and not one.void for one in outcomes):
            return
        if not self._attempts_max:
            return
        if told is not None and told < self._attempts_max:
            text = f"{position} is dead after {told} attempts, of {self._attempts_max}"
            yield Breach(DEAD, text, listing.lines)
            return
        if self._retries.get(position):
            return
        last = past.grants[-1] if past and past.grants else None
        had = last.attempts.get(position, 0) + 1 if last else 0
        had += len(self._failed_late(outcomes, last)) if last else 0
        since = last.low - PARKED_US if last else 0
        unheard = len(self._unheard) - bisect_left(self._unheard, since)
        if had + unheard < self._attempts_max:
            text = f"{position} is dead after {had} deliveries that may have failed and at most "
            text += f"{unheard} unheard ones, of {self._attempts_max}"
            yield Breach(DEAD, text, [*([last.line] if last else []), *listing.lines])

    def _failed_late(self, outcomes: Sequence[Outcome], last: Grant) -> set[str]:
        """Leases before the last under which a failure was told, or may have been heard, only
        after the last was given: its attempts did not count them yet."""
        return {
            one.lease
            for one in outcomes
            if one.what == FAILED
            and not one.void
            and one.call.t1 >= last.low
            and self._book.leases.get(one.lease) is not last
        }


def _asked_delay(past: Past, one: Grant, other: Grant) -> int:
    """When it is due by its holder's wish, if nothing else was told and that was certainly taken
    before it was given again; else 0."""
    told = [outcome for outcome in past.outcomes if outcome.lease == one.lease]
    taken = [outcome for outcome in told if outcome.taken and _after(other, outcome)]
    if not taken or any(outcome.what != DEFER for outcome in told):
        return 0
    return min(outcome.call.t0 + outcome.delay_us for outcome in told)


def _after(grant: Grant, outcome: Outcome) -> bool:
    """The grant was certainly given after the outcome was taken."""
    boot = outcome.call.said("boot")
    return grant.boot > boot or (grant.boot == boot and grant.low > outcome.call.t1)


def _meddled(past: Past, one: Grant, other: Grant) -> bool:
    """Somebody else may have had a say between the two: a late outcome of an older lease."""
    return any(
        outcome.lease != one.lease
        and outcome.what not in (RELEASE, ACK)
        and not outcome.void
        and outcome.call.t0 <= other.high
        and outcome.call.t1 >= one.low
        for outcome in past.outcomes
        if outcome.lease != other.lease
    )


def _listed_dead(case: Case, group: str) -> dict[int, tuple[Call, int | None]]:
    found: dict[int, tuple[Call, int | None]] = {}
    for call in case.of("parked"):
        if call["group"] == group and call["lane"] == "dead" and call.ok:
            for row in call.said("parked"):
                if not _damaged(row.get("history", ())):
                    for at in range(row["from"], row["to"] + 1):
                        found[at] = call, row.get("attempts")
    return found


def _damaged(history: Sequence[dict[str, Any]]) -> bool:
    return bool(history) and history[-1]["reason"] == "damaged"
