"""The auditor: judges a run by what producers and consumers wrote down.

Owns its own picture of what is right. Must never ask the broker, nor know how it works inside: it
is a model to hold against it, not an echo. Pure; times are microseconds of one clock.

What it demands: a message that was confirmed ends acked or dead, once, at its own position; nobody
gets it again after its ack was confirmed; an ack that was noted and not confirmed may be lost only
to a kill at that moment; a dead message was seen failing as often as the limit says; and within
one boot the live messages that are granted for the first time rise with the grant's number.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

LIVE = "live"
ACK, FAIL = "ack", "fail"
DAEMON = "the daemon"

DOUBT_US = 1_000_000
"""An outcome younger than this when its consumer or the daemon is killed may not have counted."""

EXAMPLES = 3


class Pushed(NamedTuple):
    """A confirmed push: `what` tells the message apart from every other."""

    position: int
    what: str


class Handled(NamedTuple):
    """One message in one consumer's hands; `outcome` is "" when it never got to one."""

    position: int
    what: str
    consumer: str
    boot: int
    grant: int
    lane: str
    deliveries: int
    start_us: int
    outcome: str = ""
    end_us: int = 0
    confirmed_us: int = 0


class Kill(NamedTuple):
    """A kill -9 of a consumer, or of DAEMON, which serves again at `until_us`."""

    who: str
    at_us: int
    until_us: int

    def may_have_cost(self, record: Handled) -> bool:
        """Whether the outcome of this record can have been lost to the kill."""
        if self.who not in (DAEMON, record.consumer):
            return False
        return self.at_us - DOUBT_US <= record.end_us <= self.until_us


class Story(NamedTuple):
    """All that happened. `unconfirmed`: pushed, but nobody knows what became of it."""

    pushed: Sequence[Pushed]
    handled: Sequence[Handled]
    dead: frozenset[int] = frozenset()
    kills: Sequence[Kill] = ()
    max_attempts: int = 1
    unconfirmed: Sequence[str] = ()


class Account(NamedTuple):
    """What came of it; right when `faults` is empty."""

    pushed: int
    acked: int
    dead: int
    failures: int
    again: int
    boots: int
    faults: Sequence[str]


def audit(story: Story) -> Account:
    by_position: dict[int, list[Handled]] = defaultdict(list)
    for record in sorted(story.handled, key=lambda record: record.start_us):
        by_position[record.position].append(record)
    acked = {r.position for r in story.handled if r.outcome == ACK}
    checks: list[tuple[str, Iterable[str]]] = [
        ("pushed but never confirmed", story.unconfirmed),
        ("in the log twice", _twice_in_log(story)),
        ("lost", _lost(story, acked)),
        ("not what was pushed", _strange(story)),
        ("granted again after its ack", _again(by_position, story.kills)),
        ("acked and dead", map(str, sorted(acked & story.dead))),
        ("dead without its failures", _died_wrongly(story, by_position)),
        ("begun and dropped", _dropped(story)),
        ("out of order", _out_of_order(story.handled)),
    ]
    return Account(
        pushed=len(story.pushed),
        acked=len(acked - story.dead),
        dead=len(story.dead),
        failures=sum(r.outcome == FAIL for r in story.handled),
        again=sum(len(records) - 1 for p, records in by_position.items() if p not in story.dead),
        boots=len({r.boot for r in story.handled}),
        faults=[line for title, found in checks if (line := _summed_up(title, list(found)))],
    )


def _summed_up(title: str, found: Sequence[str]) -> str:
    more = ", ..." if len(found) > EXAMPLES else ""
    return f"{title}: {len(found)} ({', '.join(found[:EXAMPLES])}{more})" if found else ""


def _twice_in_log(story: Story) -> Iterator[str]:
    for position, times in Counter(p.position for p in story.pushed).items():
        if times > 1:
            yield f"position {position} was confirmed {times} times"
    for what, times in Counter(p.what for p in story.pushed).items():
        if times > 1:
            yield f"{what} was confirmed {times} times"
    places: dict[str, set[int]] = defaultdict(set)
    for record in story.handled:
        places[record.what].add(record.position)
    for what, found in places.items():
        if len(found) > 1:
            yield f"{what} was handed out from positions {sorted(found)}"


def _lost(story: Story, acked: set[int]) -> Iterator[str]:
    for position, what in story.pushed:
        if position not in acked and position not in story.dead:
            yield f"{what} at {position}"


def _strange(story: Story) -> Iterator[str]:
    """Bytes at a confirmed position that are not the ones pushed, and bytes nobody pushed."""
    pushed = {p.position: p.what for p in story.pushed}
    known = set(pushed.values()).union(story.unconfirmed)
    for record in story.handled:
        if pushed.get(record.position, record.what) != record.what or record.what not in known:
            yield f"{record.what} at {record.position}"
    for position in sorted(story.dead - pushed.keys()):
        yield f"dead {position}"


def _again(by_position: dict[int, list[Handled]], kills: Sequence[Kill]) -> Iterator[str]:
    for position, records in by_position.items():
        for i, record in enumerate(records):
            if record.outcome == ACK and (later := records[i + 1 :]):
                yield from _blame(position, record, later, kills)


def _blame(
    position: int, acked: Handled, later: list[Handled], kills: Sequence[Kill]
) -> Iterator[str]:
    last_us = later[-1].start_us
    if acked.confirmed_us and last_us > acked.confirmed_us:
        yield f"{position}, {(last_us - acked.confirmed_us) / 1000:.0f} ms after the confirm"
    elif not any(kill.may_have_cost(acked) for kill in kills):
        yield f"{position}, without a kill to blame"


def _died_wrongly(story: Story, by_position: dict[int, list[Handled]]) -> Iterator[str]:
    """Every attempt was seen failing or was lost to a kill; none was seen in vain, but those whose
    outcome a kill may have cost."""
    for position in sorted(story.dead):
        records = by_position.get(position, [])
        failed = [r for r in records if r.outcome == FAIL]
        cut = sum(not r.outcome for r in records) + _unseen(records, story.kills)
        doubtful = sum(any(kill.may_have_cost(r) for kill in story.kills) for r in failed)
        if not len(failed) - doubtful <= story.max_attempts <= len(failed) + cut:
            yield f"{position} was seen failing {len(failed)} times, cut short {cut} times"


def _unseen(records: Sequence[Handled], kills: Sequence[Kill]) -> int:
    """Attempts of which nobody could write: the message was in the hands of a consumer that was
    killed before it began. The next delivery's number shows it, but not across boots."""
    unseen = 0
    for kill in kills:
        before = [r for r in records if r.start_us < kill.at_us]
        after = [r for r in records if r.start_us >= kill.at_us]
        if kill.who == DAEMON or not before or not before[-1].outcome:
            continue
        last, following = before[-1], after[0] if after else None
        unseen += (
            following is None
            or following.boot != last.boot
            or following.deliveries > last.deliveries + 1
        )
    return unseen


def _dropped(story: Story) -> Iterator[str]:
    killed = {kill.who for kill in story.kills}
    for record in story.handled:
        if not record.outcome and record.consumer not in killed:
            yield f"{record.position} by {record.consumer}"


def _out_of_order(handled: Sequence[Handled]) -> Iterator[str]:
    grants: dict[tuple[int, int], tuple[int, int]] = {}
    for record in handled:
        if record.lane == LIVE and record.deliveries == 1:
            name = (record.boot, record.grant)
            low, high = grants.get(name, (record.position, record.position))
            grants[name] = (min(low, record.position), max(high, record.position))
    for (one, (_, high)), (other, (low, _)) in pairwise(sorted(grants.items())):
        if one[0] == other[0] and low <= high:
            yield f"boot {one[0]}: grant {one[1]} up to {high}, grant {other[1]} from {low}"
