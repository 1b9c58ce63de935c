"""What groups were given and what became of it: every lease that somebody saw, every outcome told.

Owns the auditor's own lease table, as far as it follows from answers: who, which messages, and
between which two instants the broker gave them. Must never judge.

A grant lies between the sending of its poll and the arrival of its answer. Grants of a group are
numbered, so neighbours sharpen that: it is not earlier than any of a lower number may be.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from tests.audit.evidence import MS, NEVER, Breach, positions
from tests.audit.log import Sight

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.audit.evidence import Call, Case
    from tests.audit.history import Line

LEASES = "a lease has one number, one holder and one content"
ACK, FAILED, DEFER, RELEASE, REJECT = "ack", "fail", "defer", "release", "reject"


class Grant:
    """A lease. `low` and `high`: the broker gave it between these. `limits` holds, by position,
    when a message may be taken for being worked on too long; `closed`, when its holder first told
    an outcome of it; `open` is what it told none of; `end_us`, before when the lease
    cannot have ended otherwise."""

    __slots__ = (
        "alone",
        "attempts",
        "boot",
        "closed",
        "data",
        "deliveries",
        "end_us",
        "high",
        "lane",
        "lease",
        "lease_us",
        "limits",
        "line",
        "low",
        "n",
        "number",
        "open",
        "places",
        "session",
        "topic",
    )

    def __init__(self, session: str, n: int, boot: int, told: dict[str, Any], line: Line) -> None:
        self.session = session
        self.n = n
        self.boot = boot
        self.line = line
        self.lease: str = told["lease"]
        self.lane: str = told["lane"]
        self.topic: str = told["topic"]
        self.number: int = told["grant"]
        self.lease_us = told.get("lease_ms", 0) * MS
        self.alone = bool(told.get("alone"))
        self.places = list(positions(told["ranges"]))
        self.data: Sequence[str] = told["data"]
        failed, times = told.get("attempts") or (), told.get("deliveries") or ()
        self.attempts = dict(zip(self.places, failed, strict=False))
        self.deliveries = dict(zip(self.places, times, strict=False))
        self.open = set(self.places)
        self.low = 0
        self.high: int = line["t"]
        self.end_us = 0
        self.limits: dict[int, int] = {}
        self.closed: dict[int, int] = {}

    def held_until(self, position: int) -> int:
        """The earliest moment at which somebody else may have had it."""
        other = min(self.limits.get(position, NEVER), self.closed.get(position, NEVER))
        return min(self.end_us, other)

    @property
    def name(self) -> str:
        return f"grant {self.number} of boot {self.boot}"


class Outcome:
    """What a consumer told of one message of a lease."""

    __slots__ = ("call", "code", "delay_us", "lease", "single", "started", "taken", "what")

    def __init__(self, call: Call, entry: dict[str, Any], single: bool, code: str | None) -> None:
        self.call = call
        self.lease: str = entry["lease"]
        self.what: str = entry["outcome"]
        self.delay_us = (entry.get("delay_ms") or 0) * MS
        self.started = entry.get("started", True)
        self.single = single
        self.code = code
        self.taken = call.ok and code is None

    @property
    def void(self) -> bool:
        """It certainly changed nothing."""
        return self.call.refused or self.code is not None


class Past:
    """All that is known of one message in one group."""

    __slots__ = ("grants", "outcomes")

    def __init__(self) -> None:
        self.grants: list[Grant] = []
        self.outcomes: list[Outcome] = []


class Book:
    """One group. `deleted`: it was, so numbers may have begun anew; then only bytes are judged."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.leases: dict[str, Grant] = {}
        self.pasts: dict[int, Past] = defaultdict(Past)
        self.boots: dict[int, list[Grant]] = {}
        self.breaches: list[Breach] = []
        self.deleted = False

    def grants(self) -> Iterator[Grant]:
        for grants in self.boots.values():
            yield from grants

    def add(self, grant: Grant) -> None:
        known = self.leases.setdefault(grant.lease, grant)
        if known is grant:
            return
        known.high = min(known.high, grant.high)
        known.low = min(known.low, grant.low)
        mine = (known.session, known.boot, known.number, known.lane, known.topic)
        again = (grant.session, grant.boot, grant.number, grant.lane, grant.topic)
        if mine != again or not set(grant.places) <= set(known.places):
            text = f"lease {grant.lease} was given to {known.session} as {known.name}, then to "
            text += f"{grant.session} as {grant.name}, or with other messages"
            self.breaches.append(Breach(LEASES, text, [known.line, grant.line]))

    def sort(self, since: dict[int, int]) -> None:
        """All grants are known. `since` are the boots' earliest beginnings."""
        by_boot: dict[int, list[Grant]] = defaultdict(list)
        for grant in self.leases.values():
            by_boot[grant.boot].append(grant)
        for boot in sorted(by_boot):
            grants = self.boots[boot] = sorted(by_boot[boot], key=lambda one: one.number)
            self._sharpen(grants, since.get(boot, 0))
            for grant in grants:
                for position in grant.places:
                    self.pasts[position].grants.append(grant)

    def _sharpen(self, grants: list[Grant], low: int) -> None:
        before: Grant | None = None
        for grant in grants:
            if before is not None and before.number == grant.number and not self.deleted:
                text = f"{grant.name} is lease {before.lease} and lease {grant.lease}"
                self.breaches.append(Breach(LEASES, text, [before.line, grant.line]))
            low = grant.low = max(low, grant.low)
            before = grant
        high = NEVER
        for grant in reversed(grants):
            high = grant.high = min(high, grant.high)


def session_of(call: Call) -> str:
    """A poll without a session stands for its connection, and a client has one at a time."""
    return call.get("session") or f"connection of {call.client}"


def books(case: Case) -> dict[str, Book]:
    found: dict[str, Book] = {}

    def book(name: str) -> Book:
        return found.setdefault(name, Book(name))

    for call in case.of("group_delete"):
        book(call["group"]).deleted = True
    asked: dict[tuple[str, str, int], int] = {}
    for call in case.of("poll"):
        book(call["group"])
        session, n = session_of(call), call.get("n", 0)
        first = asked.setdefault((call["group"], session, n), call.t0) if n else call.t0
        for told in call.said("leases", ()) if call.ok else ():
            assert call.end is not None
            if _adds_up(told):
                grant = Grant(session, n, call.said("boot"), told, call.end)
                grant.low = first
                book(call["group"]).add(grant)
            else:
                text = f"lease {told['lease']}: its lists differ in length"
                book(call["group"]).breaches.append(Breach(LEASES, text, [call.end]))
    since = _boots(case)
    for one in found.values():
        one.sort(since)
    for call in case.of("settle", "poll"):
        for entry in call.get("settle") or ():
            _add_outcomes(book(call["group"]), call, entry)
    return found


def _adds_up(told: dict[str, Any]) -> bool:
    """One entry for each message, wherever there are entries."""
    messages = len(list(positions(told["ranges"])))
    lists = (told["data"], told.get("attempts"), told.get("deliveries"))
    return all(not some or len(some) == messages for some in lists) and bool(told["data"])


def _boots(case: Case) -> dict[int, int]:
    """A boot begins no earlier than the daemon before it was killed."""
    since: dict[int, int] = {}
    killed = 0
    lines = [*case.events["kill"], *case.events["start"]]
    for line in sorted(lines, key=lambda line: line["t"]):
        if line["op"] == "kill" and line["who"] == "daemon":
            killed = line["t"]
        elif line["op"] == "start":
            since[line["boot"]] = killed
    return since


def _add_outcomes(book: Book, call: Call, entry: dict[str, Any]) -> None:
    refused = {
        at: no["code"]
        for no in call.said("refused") or ()
        if no["lease"] == entry["lease"]
        for at in positions(no["ranges"])
    }
    ranges = entry["ranges"]
    for first, last in zip(ranges[::2], ranges[1::2], strict=True):
        for at in range(first, last + 1):
            outcome = Outcome(call, entry, first == last, refused.get(at))
            book.pasts[at].outcomes.append(outcome)


def sights(books: dict[str, Book]) -> Iterator[Sight]:
    for book in books.values():
        for grant in book.leases.values():
            for position, text in zip(grant.places, grant.data, strict=True):
                yield Sight(position, grant.topic, text, grant.line)
