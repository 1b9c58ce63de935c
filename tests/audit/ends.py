"""When leases end, at the earliest: by the clock, by their holder, or because nobody heard of them.

Owns the sweep over a history that sets `end_us`, `limits` and `closed` of grants. An earlier end is
a broken promise, a later one is not; so what is in doubt shortens a lease and never lengthens it.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from tests.audit.evidence import MS, NEVER, positions
from tests.audit.grants import session_of

if TYPE_CHECKING:
    from tests.audit.evidence import Call, Case
    from tests.audit.grants import Book, Grant


def set_ends(case: Case, books: dict[str, Book]) -> None:
    tables = {name: Table(book, case.limits(name)) for name, book in books.items()}
    steps: dict[int, tuple[Call, bool]] = {}
    for call in case.of("poll", "settle", "extend", "goodbye"):
        if call["group"] in tables:
            steps[id(call.asked)] = call, False
            if call.ok:
                steps[id(call.end)] = call, True
    for line in case.lines:
        call, answered = steps.get(id(line), (None, False))
        if call is None:
            continue
        table = tables[call["group"]]
        if answered:
            table.answered(call)
        else:
            table.asked(call)


class Table:
    """Who holds what, as the consumers of one group know it while time goes on."""

    def __init__(self, book: Book, limits: dict[str, int]) -> None:
        self._book = book
        self._handling_us = limits.get("max_handling_ms", 0) * MS
        self._held: dict[str, list[Grant]] = defaultdict(list)
        self._disowned: dict[tuple[str, int], int] = {}
        self._left: dict[str, int] = {}

    def _of(self, session: str, now: int) -> list[Grant]:
        """Those that may still last, and matter."""
        held = [one for one in self._held[session] if one.end_us >= now and one.open]
        self._held[session] = held
        return held

    # ---- a request leaves

    def asked(self, call: Call) -> None:
        for entry in call.get("settle") or ():
            self._told(entry["lease"], entry["ranges"], call.t0)
        session = session_of(call)
        if call.get("working"):
            self._working(session, call)
        if call.asked["op"] == "goodbye":
            self._left[session] = call.t0
            self._end(session, call.t0, 0)
        elif call.get("got") is not None and call.asked["op"] == "poll":
            for n in range(call["got"] + 1, call["n"]):
                self._disowned.setdefault((session, n), call.t0)
            self._end(session, call.t0, call["got"])

    def _told(self, lease: str, ranges: list[int], now: int) -> None:
        """The lease may have ended for these as soon as the outcome was sent."""
        grant = self._book.leases.get(lease)
        if grant is not None:
            for at in positions(ranges):
                grant.closed.setdefault(at, now)
                grant.open.discard(at)

    def _end(self, session: str, now: int, heard: int) -> None:
        """Of answers behind `heard` the consumer says that it did not hear."""
        for grant in self._of(session, now):
            if grant.n > heard or not heard:
                grant.end_us = min(grant.end_us, now)

    def _working(self, session: str, call: Call) -> None:
        """What takes too long is taken away."""
        for first, last, age_ms in call["working"]:
            for grant in self._of(session, call.t0):
                start = max(call.t0 - age_ms * MS, grant.low)
                for at in grant.places:
                    if first <= at <= last:
                        limit = start + self._handling_us
                        grant.limits[at] = min(limit, grant.limits.get(at, NEVER))

    # ---- an answer comes

    def answered(self, call: Call) -> None:
        session = session_of(call)
        if call.get("working") is not None or call.get("hold") is not None:
            self._go_on(session, call)
        for told in call.said("leases") or ():
            grant = self._book.leases.get(told["lease"])
            if grant is not None and not grant.end_us:
                grant.end_us = self._lasts(session, grant, call)
                self._held[session].append(grant)

    def _lasts(self, session: str, grant: Grant, call: Call) -> int:
        """Its length, unless the consumer has given up the poll, or left, before it heard of it."""
        until = grant.low + grant.lease_us
        if grant.n:
            until = min(until, self._disowned.get((session, grant.n), NEVER))
        left = self._left.get(session, 0)
        return min(until, left) if left >= call.t0 else until

    def _go_on(self, session: str, call: Call) -> None:
        """A report that was answered in time moved the end of all leases of its session."""
        for grant in self._of(session, call.t0):
            if call.t1 <= grant.end_us and grant.boot == call.said("boot"):
                grant.end_us = max(grant.end_us, call.t0 + grant.lease_us)
