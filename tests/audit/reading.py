"""What a group reads, and what operators took away: other subscriptions, deleted topics.

Owns the promises that a deleted topic's messages never come again, and that a group is given what
it reads. Must never know leases' ends or outcomes.

A change lies between its sending and its answer. Without an answer it may have been done, and may
still be.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from tests.audit.evidence import NEVER, Breach, positions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.audit.evidence import Call, Case
    from tests.audit.grants import Book
    from tests.audit.log import Log

GONE = "what was deleted with its topic does not come again"
READS = "a group is given only what it reads"


class Reading:
    """One group. `changes` are the requests that may have given it another subscription."""

    def __init__(self, case: Case, group: str) -> None:
        asked = [call for call in case.of("poll", "group_create") if call["group"] == group]
        self._made_with = [matcher([call]) for call in asked if call.get("topics")]
        self._anything = matcher(asked)
        self.changes = [
            call
            for call in case.of("group_set")
            if call["group"] == group and call.get("topics") and not call.refused
        ]
        self._changes = [(call, matcher([call])) for call in self.changes]
        unrefused = [call for call in asked if call.get("topics") and not call.refused]
        said = {tuple(sorted(call["topics"])): call for call in (*unrefused, *self.changes)}
        self._each = [matcher([call]) for call in said.values()]
        self._deletions = deletions(case)

    def surely(self, topic: str) -> bool:
        """All the time; whoever reads a topic again begins where the group stands."""
        if not self.changes:
            return bool(self._anything(topic))
        return bool(self._each) and all(matches(topic) for matches in self._each)

    def survives(self, topic: str, sent_us: int) -> bool:
        """What was sent then was deleted by nobody for certain."""
        return all(call.t1 < sent_us for call in self._deletions.get(topic, ()))

    def may_read(self, topic: str, since_us: int, until_us: int) -> bool:
        """At some moment between the two."""
        done = [call.t0 for call in self.changes if call.ok and call.t1 < since_us]
        latest = max(done, default=0)
        maybe = [
            matches for call, matches in self._changes if call.t0 <= until_us and call.t1 >= latest
        ]
        first = [] if done else self._made_with
        return any(matches(topic) for matches in (*first, *maybe))


def deletions(case: Case) -> dict[str, list[Call]]:
    """By topic, all that may have been done."""
    found: dict[str, list[Call]] = defaultdict(list)
    for call in case.of("topic_delete"):
        if not call.refused:
            found[call["topic"]].append(call)
    return found


def breaches(case: Case, book: Book, log: Log) -> Iterator[Breach]:
    """Of one group: what it was given."""
    known = _known(log)
    gone = deletions(case)
    reading = Reading(case, book.name)
    for grant in book.grants():
        is_changed = bool(reading.changes) and grant.lane == "live"
        if is_changed and not reading.may_read(grant.topic, grant.low, grant.high):
            text = f"{grant.name} gives {grant.topic}, which {book.name} does not read"
            lines = [line for call in reading.changes for line in call.lines]
            yield Breach(READS, text, [*lines, grant.line])
        for at, call in _deleted(gone, grant.topic, grant.places, grant.low, known):
            text = f"{at} of {grant.topic} is given by {grant.name}, and was deleted before"
            yield Breach(GONE, text, [*call.lines, grant.line])


def of_reads(case: Case, log: Log) -> Iterator[Breach]:
    """What was read without a group."""
    known = _known(log)
    gone = deletions(case)
    for call in case.of("read"):
        for block in call.said("blocks") or () if call.ok else ():
            places = list(positions(block["ranges"]))
            for at, deletion in _deleted(gone, block["topic"], places, call.t0, known):
                text = f"{at} of {block['topic']} is read, and was deleted before"
                yield Breach(GONE, text, [*deletion.lines, *call.lines])


def _deleted(
    gone: dict[str, list[Call]], topic: str, places: Iterable[int], low: int, known: dict[int, int]
) -> Iterator[tuple[int, Call]]:
    """Those that were there before a deletion was sent that was done before `low`."""
    for call in gone.get(topic, ()):
        if call.ok and call.t1 < low:
            for at in places:
                if known.get(at, NEVER) < call.t0:
                    yield at, call


def _known(log: Log) -> dict[int, int]:
    """Since when somebody knows that the position is taken."""
    return {
        at: min(sight.line["t"], log.confirmed_us.get(at, NEVER)) for at, sight in log.seen.items()
    }


def matcher(calls: Iterable[Call]) -> Callable[[str], bool]:
    """Whether a topic is one of those that any of these asks for."""
    patterns = {pattern for call in calls for pattern in call.get("topics") or ()}
    parts = (re.escape(pattern).replace(r"\*", ".*") for pattern in sorted(patterns))
    whole = re.compile("|".join(parts) or r"(?!)")
    reserved = any(pattern.startswith("layby.") for pattern in patterns)
    return lambda topic: (
        bool(whole.fullmatch(topic)) and (reserved or not topic.startswith("layby."))
    )
