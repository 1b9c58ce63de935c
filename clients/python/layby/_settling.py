"""Outcomes on their way to the broker: noted, merged, sent, sent again, confirmed or lost.

Owns what is not yet durable. Must never know polls' contents, queues, users or sockets.

An outcome rides on the next poll or leaves in a request of its own within 5 ms. What was sent
together is one Flight; it ends when an answer that carried it comes, whichever comes first, and
settling twice is answered alike, so a flight may be sent as often as needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from layby._fields import Fields, entries, ranges, text, token
from layby._lease import ACK, DEFER, FAIL, OUTCOMES, UNSTARTED, Lease
from layby._link import NEVER, Link
from layby._wire import Answer
from layby.errors import Damaged, refused

FLUSH_S = 0.005
RESEND_S = 5.0
MAP_BUDGET = 40 << 10
ENTRY_COST = 100
PAIR_COST = 18
SENDINGS_MAX = 8
"""Of one flight are listened for."""

DIVISIBLE = frozenset({"bad_request", "too_large"})
"""What is said of a request as a whole may be true of one of its entries only."""


class _Kind(NamedTuple):
    """Outcomes of the same kind share an entry. Fails never do (`call` tells them apart): several
    messages in one entry would mean that one of them is bad."""

    lease: Lease
    outcome: int
    reason: str
    delay_ms: int
    call: int


class _Note:
    """Neighbouring messages with one outcome; grows while the next one is alike."""

    __slots__ = ("after", "first", "kind")

    def __init__(self, kind: _Kind, first: int, after: int) -> None:
        self.kind = kind
        self.first = first
        self.after = after


class Lost(NamedTuple):
    """An outcome that does not count: `place` is the message's place in its lease."""

    lease: Lease
    place: int
    code: str


class Flight:
    """Entries that were sent together. `ids` are all requests that carried them; `own` are those
    that carried nothing else, so that their answers may be dropped. `rest` are parts of it that
    are still to be sent, since the whole was refused."""

    __slots__ = ("done", "entries", "ids", "leases", "own", "resend_at", "rest")

    def __init__(self, entries: list[dict[str, Any]], leases: dict[bytes, Lease]) -> None:
        self.entries = entries
        self.leases = leases
        self.ids: set[int] = set()
        self.own: set[int] = set()
        self.resend_at = NEVER
        self.rest: list[list[dict[str, Any]]] = []
        self.done: list[Callable[[], object]] = []


class Settling:
    def __init__(self, link: Link, group: str, lost: Callable[[list[Lost]], object]) -> None:
        self._link = link
        self._group = group
        self._lost = lost
        self._noted: list[_Note] = []
        self._since = NEVER
        self._calls = 0
        self._flights: dict[Flight, None] = {}

    # ---- in

    def acked(self, lease: Lease, index: int, now: float) -> bool:
        """Like `note`, for the commonest case: the message behind the last one is done too."""
        if self._noted:
            last = self._noted[-1]
            kind = last.kind
            if kind.lease is lease and kind.outcome == ACK and last.after == index:
                last.after = index + 1
                return False
        return self.note(lease, ((index, index + 1),), ACK, now)

    def note(
        self,
        lease: Lease,
        pieces: Iterable[tuple[int, int]],
        outcome: int,
        now: float,
        reason: str = "",
        delay_ms: int = -1,
    ) -> bool:
        """Whether this is the first since the last sending, so that a timer begins."""
        call = 0
        if outcome == FAIL:
            self._calls += 1
            call = self._calls
        kind = _Kind(lease, outcome, reason, delay_ms, call)
        for first, after in pieces:
            self._noted.append(_Note(kind, first, after))
        if self._since is NEVER:
            self._since = now
            return True
        return False

    @property
    def empty(self) -> bool:
        return not self._noted and not self._flights

    @property
    def flights(self) -> list[Flight]:
        return list(self._flights)

    # ---- out

    def ride(self, resend_at: float) -> Flight | None:
        """What goes with a poll that is being sent now; each sending adds its id."""
        if not self._noted:
            return None
        flight = self._gather()
        flight.resend_at = resend_at
        return flight

    def leave(self, now: float) -> None:
        """Send all that is noted in requests of their own."""
        while self._noted:
            self._send(self._gather(), now)

    def leave_all(self, now: float) -> list[Flight]:
        """Everything at once, also what rides on a parked poll; the flights under way."""
        for flight in [each for each in self._flights if not each.own]:
            self._send(flight, now)
        self.leave(now)
        return self.flights

    def _send(self, flight: Flight, now: float) -> None:
        request = self._link.claim(lambda answer, now: self._answered(request, answer, now))
        if len(flight.own) == SENDINGS_MAX:
            self._unlisten(flight, {min(flight.own)})
        flight.ids.add(request)
        flight.own.add(request)
        flight.resend_at = now + RESEND_S
        self._link.send("settle", request, {"group": self._group, "settle": flight.entries})

    def advance(self, now: float) -> None:
        if now >= self._since + FLUSH_S:
            self.leave(now)
        for flight in [each for each in self._flights if now >= each.resend_at]:
            self._send(flight, now)

    def deadline(self) -> float:
        first = min((flight.resend_at for flight in self._flights), default=NEVER)
        return min(first, self._since + FLUSH_S)

    def connected(self, now: float) -> None:
        for flight in list(self._flights):
            self._send(flight, now)

    # ---- merging

    def _gather(self) -> Flight:
        """The next flight: as much as one request holds."""
        groups: dict[_Kind, list[tuple[int, int]]] = {}
        budget = MAP_BUDGET
        taken = 0
        for note in self._noted:
            pieces = groups.get(note.kind)
            if pieces is None:
                pieces = groups[note.kind] = []
                budget -= ENTRY_COST + len(note.kind.reason.encode())
            if pieces and pieces[-1][1] == note.first:
                pieces[-1] = (pieces[-1][0], note.after)
            else:
                pieces.append((note.first, note.after))
                budget -= PAIR_COST
            taken += 1
            if budget <= 0:
                break
        del self._noted[:taken]
        if not self._noted:
            self._since = NEVER
        entries = [_entry(kind, pieces) for kind, pieces in groups.items()]
        flight = Flight(entries, {kind.lease.id: kind.lease for kind in groups})
        self._flights[flight] = None
        return flight

    # ---- answers

    def _answered(self, request: int, answer: Answer, now: float) -> None:
        self._link.drop(request)
        if answer.ok:
            self.heard(request, entries(answer.fields, "refused"), now)
        else:
            self.unheard(request, answer, now)

    def heard(self, request: int, rejected: Sequence[Fields], now: float) -> None:
        """The answer to `request` says that all it carried is durable, but for `rejected`."""
        for flight in [each for each in self._flights if request in each.ids]:
            lost = _lost(rejected, flight.leases)
            self._go_on(flight, now)
            if lost:
                self._lost(lost)

    def unheard(self, request: int, answer: Answer, now: float) -> None:
        """The request was refused as a whole. What cannot be taken is searched for by halves, so
        that it is lost alone. Of several sendings the last one counts."""
        refusal = refused(answer.fields)
        for flight in [each for each in self._flights if request in each.ids]:
            flight.ids.discard(request)
            if refusal.retryable or any(later > request for later in flight.ids):
                flight.resend_at = now + refusal.retry_s
            elif refusal.code in DIVISIBLE and len(flight.entries) > 1:
                half = len(flight.entries) // 2
                flight.rest += [flight.entries[half:], flight.entries[:half]]
                self._go_on(flight, now)
            else:
                rejected = [{**entry, "code": refusal.code} for entry in flight.entries]
                self._go_on(flight, now)
                self._lost(_lost(rejected, flight.leases))

    def _go_on(self, flight: Flight, now: float) -> None:
        if not flight.rest:
            self._end(flight)
            return
        self._unlisten(flight, set(flight.ids))
        flight.entries = flight.rest.pop()
        self._send(flight, now)

    def _unlisten(self, flight: Flight, requests: set[int]) -> None:
        """Whatever is still said of these says nothing of the flight."""
        for request in requests & flight.own:
            self._link.drop(request)
        flight.ids -= requests
        flight.own -= requests

    def _end(self, flight: Flight) -> None:
        del self._flights[flight]
        for request in flight.own:
            self._link.drop(request)
        for done in flight.done:
            done()


def _entry(kind: _Kind, pieces: list[tuple[int, int]]) -> dict[str, Any]:
    lease = kind.lease
    spans = sorted(span for first, after in pieces for span in lease.positions(first, after))
    entry: dict[str, Any] = {
        "lease": lease.id,
        "ranges": [number for span in _joined(spans) for number in span],
        "outcome": OUTCOMES[kind.outcome],
    }
    if kind.reason:
        entry["reason"] = kind.reason
    if kind.outcome == DEFER and kind.delay_ms >= 0:
        entry["delay_ms"] = kind.delay_ms
    if kind.outcome == UNSTARTED:
        entry["started"] = False
    return entry


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined = [spans[0]]
    for first, last in spans[1:]:
        if joined[-1][1] + 1 == first:
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return joined


def _lost(rejected: Sequence[Fields], leases: dict[bytes, Lease]) -> list[Lost]:
    """No message is refused twice in one answer."""
    most = sum(lease.messages for lease in leases.values())
    items = (item for entry in rejected for item in _items(entry, leases))
    lost = list(islice(items, most + 1))
    if len(lost) > most:
        raise Damaged("an answer refuses more outcomes than were sent")
    return lost


def _items(entry: Fields, leases: dict[bytes, Lease]) -> Iterator[Lost]:
    code, spans = text(entry, "code"), ranges(entry)
    lease = leases.get(token(entry, "lease"))
    if lease is not None:
        for first, last in zip(spans[::2], spans[1::2], strict=True):
            for index in lease.indexes(first, last):
                yield Lost(lease, index, code)
