"""Consumers as the broker sees them: sessions, their outstanding polls, who waits for work.

Owns sessions and the two waiting lines (polls with idle handlers, polls ahead of need), both in
order of arrival. Must never know which messages a session gets.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from laybyd.core.effects import Grant, Lost
from laybyd.core.events import Poll
from laybyd.core.intervals import RangeSet
from laybyd.core.types import Caller

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from laybyd.core.leases import Lease

SESSION_BYTES = 16
MEASURE_WEIGHT = 0.2
"""Of the newest measurement of handling time."""

WAY_SLICES = 16
"""The way to a consumer and back is believed to take up to so many slices, 0.8 s of live work."""


class Settlement:
    """What came of the outcomes in one request: what was refused, and what must be durable (or
    looked up) before the request is answered."""

    __slots__ = ("batch", "lookups", "refused", "then")

    def __init__(self) -> None:
        self.refused: list[Lost] = []
        self.batch = 0
        self.lookups = 0
        self.then: list[Callable[[], object]] = []

    def looked_up(self) -> None:
        self.lookups -= 1
        if not self.lookups:
            for act in self.then:
                act()
            self.then.clear()


SENDINGS_MAX = 8
"""Sendings of one answer that are told apart; with more, one is never known to have failed."""


class Waiting:
    """A poll that waits for its answer. `sent_to`: whom the answer was sent to, as often as that
    was and is not known to have failed; as long as there is one, somebody may have heard it."""

    __slots__ = (
        "arrived_us",
        "back",
        "caller",
        "credit",
        "credit_bytes",
        "idle",
        "n",
        "sent_to",
        "session",
        "settlement",
        "until_us",
    )

    def __init__(
        self, session: Session, event: Poll, settlement: Settlement, arrived_us: int, until: int
    ) -> None:
        self.session = session
        self.caller: Caller = event.caller
        self.sent_to: list[Caller | None] = []
        self.n = session.n
        self.credit = event.credit
        self.credit_bytes = event.credit_bytes
        self.idle = session.idle
        self.arrived_us = arrived_us
        self.until_us = until
        self.settlement = settlement
        self.back = session.back_from_deferred()

    def is_sent(self, caller: Caller) -> None:
        if len(self.sent_to) < SENDINGS_MAX:
            self.sent_to.append(caller)
        elif len(self.sent_to) == SENDINGS_MAX:
            self.sent_to.append(None)

    def is_not_sent(self, caller: Caller) -> None:
        """One sending has failed."""
        if caller in self.sent_to:
            self.sent_to.remove(caller)


class Working(NamedTuple):
    """Messages that are being handled, and the time at which that has taken too long."""

    first: int
    last: int
    limit_us: int


class Session:
    """`working` is what it said last it works on, and until when each may take; `live_us` is what
    we measured, `told_live_us` and `told_deferred_us` what it measured itself."""

    __slots__ = (
        "answered",
        "busy",
        "deferred_leases",
        "drained",
        "grants",
        "handlers",
        "heard_us",
        "holds",
        "idle",
        "key",
        "lease_us",
        "leases",
        "live_out",
        "live_us",
        "n",
        "name",
        "named",
        "progress_us",
        "settled_us",
        "told_deferred_us",
        "told_live_us",
        "unsent",
        "waiting",
        "working",
    )

    def __init__(self, key: bytes, now: int) -> None:
        self.key = key
        self.name = ""
        self.lease_us = 0
        self.handlers = 0
        self.idle = 0
        self.n = 0
        self.heard_us = now
        self.progress_us = -1
        self.settled_us = 0
        self.live_us: float | None = None
        self.told_live_us: int | None = None
        self.told_deferred_us: int | None = None
        self.leases: dict[bytes, Lease] = {}
        self.live_out = 0
        self.deferred_leases = 0
        self.drained = False
        self.busy = 0
        self.waiting: Waiting | None = None
        self.answered: Waiting | None = None
        self.unsent: Waiting | None = None
        self.grants: tuple[Grant, ...] = ()
        self.working: list[Working] = []
        self.named = RangeSet()
        self.holds: dict[int, int] = {}

    @property
    def id(self) -> bytes:
        """What it calls itself; empty when the connection is the session. The connection's name
        is what answers are routed by: it is told to nobody."""
        return b"" if len(self.key) > SESSION_BYTES else self.key

    @property
    def silence_us(self) -> int:
        """So long it may say nothing: no shorter than any lease that it holds."""
        return max([self.lease_us, *(lease.lease_us for lease in self.leases.values())])

    def is_held_back(self) -> bool:
        """An answer with leases for it waits for a commit."""
        return any(lease.held_back for lease in self.leases.values())

    def back_from_deferred(self) -> bool:
        """Its last work was deferred work, and that is done."""
        return self.drained and not self.deferred_leases

    def handlers_on_live(self) -> int:
        if not self.live_out:
            return 0
        most = self.handlers - self.idle - self.deferred_leases
        return min(max(most, 1), self.live_out)

    def measure(self, messages: int, since: int, now: int) -> float:
        """Handler time of one message, by all that was settled since the last time."""
        elapsed = max(1, now - max(since, self.settled_us))
        self.settled_us = now
        return elapsed * max(1, self.handlers - self.idle) / messages


def in_a_slice(slice_us: int, measured_us: float, told_us: int | None) -> int:
    """So many messages last about a slice, the way there and back included, for that is how we
    measure. But a quarter of a slice at least is work, as far as the consumer has told what work
    is: else, where the way takes longer than a slice, one message would go at a time. What it tells
    may be wrong, so it is believed as far as the way may be: one lease, by our measure, lasts no
    longer than WAY_SLICES."""
    fitting = slice_us / max(1.0, measured_us)
    if told_us is not None:
        fitting = max(fitting, min(slice_us / 4 / max(1, told_us), WAY_SLICES * fitting))
    return max(1, round(fitting))


def blend(old: float | None, new: float) -> float:
    return new if old is None else old + MEASURE_WEIGHT * (new - old)


def key_of(peer: bytes, session: bytes | None) -> bytes:
    """Without a session the connection is one; its key is longer than any session id may be."""
    return session if session is not None else b"connection " + peer.rjust(16, b"\0")


class Sessions:
    def __init__(self, sessions_max: int) -> None:
        self._max = sessions_max
        self.by_key: dict[bytes, Session] = {}
        self.idle: OrderedDict[Session, Waiting] = OrderedDict()
        self.ahead: OrderedDict[Session, Waiting] = OrderedDict()
        self.idle_handlers = 0
        self.handlers = 0

    def __len__(self) -> int:
        return len(self.by_key)

    def find(self, key: bytes) -> Session | None:
        return self.by_key.get(key)

    def meet(self, event: Poll, now: int) -> Session | None:
        """The poll's session, made if need be; None when there are too many."""
        key = key_of(event.caller.peer, event.session)
        session = self.by_key.get(key)
        if session is None:
            if len(self.by_key) >= self._max:
                return None
            session = self.by_key[key] = Session(key, now)
        session.heard_us = now
        session.name = event.name or session.name
        handlers = max(1, event.handlers or 1)
        self.handlers += handlers - session.handlers
        session.handlers = handlers
        return session

    def remove(self, session: Session) -> None:
        self.withdraw(session)
        self.handlers -= session.handlers
        del self.by_key[session.key]

    # ---- the waiting lines ----------------------------------------------------------------------

    def offer(self, waiting: Waiting) -> None:
        if waiting.idle:
            longest = self.longest()
            self.idle[waiting.session] = waiting
            self.idle_handlers += waiting.idle
            # One that came back, or asks again rather than wait, may be idle the longest.
            if longest is not None and waiting.arrived_us < longest.arrived_us:
                self.idle.move_to_end(waiting.session, last=False)
        else:
            self.ahead[waiting.session] = waiting

    def withdraw(self, session: Session) -> None:
        waiting = self.idle.pop(session, None)
        if waiting is not None:
            self.idle_handlers -= waiting.idle
        else:
            self.ahead.pop(session, None)

    @property
    def any_waiting(self) -> bool:
        return bool(self.idle or self.ahead)

    def in_turn(self) -> Iterator[Waiting]:
        """Those with idle handlers, the latest first, so that the surplus shows as polls that wait
        long; then those ahead of need, but for sessions on deferred work: live must not wait
        behind that."""
        yield from reversed(self.idle.values())
        for waiting in reversed(self.ahead.values()):
            if not waiting.session.deferred_leases:
                yield waiting

    def latest(self) -> Waiting | None:
        return next(self.in_turn(), None)

    def longest(self) -> Waiting | None:
        return next(iter(self.idle.values())) if self.idle else None

    def others_wait(self, session: Session) -> bool:
        """Somebody else may be given live work now."""
        return any(waiting.session is not session for waiting in self.in_turn())
