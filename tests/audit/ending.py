"""That all comes right: everything confirmed is handed out, ends, and nothing is left.

Owns the promises about the end of a run and about waiting. Must never know leases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.audit.evidence import MS, NEVER, Breach, positions
from tests.audit.grants import ACK, REJECT
from tests.audit.reading import Reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.audit.evidence import Case
    from tests.audit.grants import Book, Grant
    from tests.audit.log import Log, Sight

ENDS = "every confirmed message ends"
STARVES = "nothing starves"
LEFT = "at the end nothing is left"
LIVE_FIRST = "no deferred work while live work waits"


class Ending:
    """One group at the end. `first`: it is not asked for what lies before."""

    def __init__(self, case: Case, book: Book, log: Log) -> None:
        self._case = case
        self._book = book
        self._log = log
        self._limits = case.limits(book.name)
        polls = [call for call in case.of("poll") if call["group"] == book.name]
        made = [call for call in case.of("group_create") if call["group"] == book.name]
        self._reading = Reading(case, book.name)
        self._since = min((call.t0 for call in polls), default=NEVER)
        from_the_first = all(call.get("start", "earliest") == "earliest" for call in made or polls)
        self._first = 0 if from_the_first else min(book.pasts, default=NEVER)
        for call in case.of("group"):
            if call["group"] == book.name and call.ok:
                self._first = call.said("start", self._first)
        self._last_us = case.lines[-1]["t"] if case.lines else 0

    def breaches(self) -> Iterator[Breach]:
        if self._case.ended is not None:
            yield from self._unended()
            yield from self._left()
        if self._limits.get("seen_within_ms"):
            yield from self._starved(self._limits["seen_within_ms"] * MS)
        if self._limits.get("live_first_ms"):
            for boot in self._book.boots:
                yield from self._live_waits(boot, self._limits["live_first_ms"] * MS)

    def _wanted(self) -> Iterator[tuple[int, Sight]]:
        for position, sight in self._log.seen.items():
            if position >= self._first and self._is_wanted(sight.topic, self._sent_us(sight)):
                yield position, sight

    def _is_wanted(self, topic: str, sent_us: int) -> bool:
        return self._reading.surely(topic) and self._reading.survives(topic, sent_us)

    def _sent_us(self, sight: Sight) -> int:
        return min((call.t0 for call in self._log.pushes.get(sight.text, ())), default=0)

    # ---- the end

    def _unended(self) -> Iterator[Breach]:
        gone = _dead_or_dropped(self._case, self._book.name)
        for position, sight in self._wanted():
            past = self._book.pasts.get(position)
            if position in gone or any(
                one.what in (ACK, REJECT) and not one.void
                for one in (past.outcomes if past else ())
            ):
                continue
            seen = f"was given {len(past.grants)} times" if past else "was never handed out"
            text = f"{sight.text!r} at {position} {seen} and did not end in {self._book.name}"
            yield Breach(ENDS, text, [sight.line, *(g.line for g in (past.grants if past else ()))])
        yield from self._never_handed_out(gone)

    def _never_handed_out(self, gone: set[int]) -> Iterator[Breach]:
        """A repeated push may be confirmed without a position. If such a message died unseen (its
        block was damaged) it is one of the dead that nobody knows by its text."""
        nameless = len(gone - self._log.seen.keys())
        missing = [
            (text, call)
            for text, call in self._log.certain()
            if text not in self._log.where
            and self._first <= 1
            and self._is_wanted(call["topic"], call.t0)
        ]
        for text, call in missing[nameless:]:
            said = f"{text!r} was confirmed and never handed out in {self._book.name}"
            yield Breach(ENDS, said, call.lines)

    def _left(self) -> Iterator[Breach]:
        shown = [call for call in self._case.of("group") if call["group"] == self._book.name]
        if not shown or not shown[-1].ok:
            return
        last = shown[-1]
        left = {key: last.said(key) for key in ("waiting", "out", "deferred") if last.said(key)}
        if left:
            yield Breach(LEFT, f"{self._book.name} still counts {left}", last.lines)
        changed = self._case.of("retry", "drop")
        since = max((call.t1 for call in changed if call["group"] == self._book.name), default=0)
        if since >= last.t0:
            return
        dead = _dead_or_dropped(self._case, self._book.name, "parked", since=since)
        if last.said("dead") != len(dead):
            text = f"{self._book.name} counts {last.said('dead')} dead and lists {len(dead)}"
            yield Breach(LEFT, text, last.lines)

    # ---- waiting

    def _starved(self, bound_us: int) -> Iterator[Breach]:
        """Behind the last fault everything confirmed is handed out within the bound."""
        calm = max(self._case.calm_since(), self._since)
        for position, sight in self._wanted():
            confirmed = self._log.confirmed_us.get(position)
            if confirmed is None:
                continue
            by_us = max(confirmed, calm) + bound_us
            past = self._book.pasts.get(position)
            seen = past.grants[0].high if past and past.grants else self._last_us
            if seen > by_us:
                text = (
                    f"{sight.text!r} at {position} waited {(seen - by_us + bound_us) / 1e6:.1f} s"
                )
                yield Breach(STARVES, text, [sight.line])

    def _live_waits(self, boot: int, bound_us: int) -> Iterator[Breach]:
        """The longest known wait of what is first handed out only behind a deferred grant."""
        oldest, whose = NEVER, None
        for grant in reversed(self._book.boots[boot]):
            if grant.lane == "live":
                for at in grant.places:
                    known = self._log.confirmed_us.get(at, NEVER)
                    if grant.deliveries.get(at, 1) == 1 and known < oldest:
                        oldest, whose = known, grant
            elif whose is not None:
                yield from self._judge_wait(grant, whose, oldest, bound_us)

    def _judge_wait(
        self, deferred: Grant, live: Grant, confirmed_us: int, bound_us: int
    ) -> Iterator[Breach]:
        waited = deferred.low - max(confirmed_us, self._began(deferred.boot))
        if waited > bound_us:
            text = f"{deferred.name} gives deferred work while what {live.name} gives first has "
            text += f"been there for {waited / 1e6:.3f} s"
            yield Breach(LIVE_FIRST, text, [live.line, deferred.line])

    def _began(self, boot: int) -> int:
        """Before a boot served, and before the group was there, nothing could be handed out."""
        times = [line["t"] for line in self._case.events["start"] if line["boot"] == boot]
        return max([self._since, *times])


def _dead_or_dropped(case: Case, group: str, *ops: str, since: int = 0) -> set[int]:
    found: set[int] = set()
    for call in case.of(*(ops or ("parked", "drop"))):
        if (
            call["group"] != group
            or call.t0 < since
            or (call["lane"] != "dead" and call.asked["op"] == "parked")
        ):
            continue
        if call.asked["op"] == "drop" and not call.refused:
            found |= set(positions(call["ranges"]))
        elif call.ok:
            for row in call.said("parked"):
                found |= set(range(row["from"], row["to"] + 1))
    return found
