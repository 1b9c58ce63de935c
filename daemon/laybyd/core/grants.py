"""Handing out: which waiting poll gets what.

Owns the making of leases: shares, sizes, order. Live work goes first, to idle handlers before
polls that are ahead of need; deferred work when the idle rules or the guards say so. Must never
know how a poll came to wait or how a lease will end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from laybyd.core.deferred import Waits
from laybyd.core.drain import Drain
from laybyd.core.effects import Grant
from laybyd.core.leases import Held, Lease
from laybyd.core.live import GRANT_BYTES, RANGE_BYTES, Room, Span
from laybyd.core.parts import Parts
from laybyd.core.rules import News, cut, cut_text, deliveries_before
from laybyd.core.sessions import Session, Waiting, in_a_slice
from laybyd.core.settle import Settler
from laybyd.core.types import DEFERRED, LIVE, Parked

ANSWER_MAP_BYTES = 48 << 10
HISTORY_SHOWN = 4
REASON_SHOWN = 200
LINE_BYTES = 64

Answer = Callable[[Waiting, tuple[Grant, ...], int], None]
Line = tuple[int, str, str, bool]


class Granter:
    """`answer` sends what was granted."""

    def __init__(self, parts: Parts, drain: Drain, settler: Settler, answer: Answer) -> None:
        self._parts = parts
        self._drain = drain
        self._settler = settler
        self._answer = answer
        self._grants = 0

    def match(self, now: int) -> None:
        """Hand out whatever can be handed out."""
        parts = self._parts
        if parts.live.ready:
            self._drain.live_seen(now)
        if not parts.sessions.any_waiting or self._full:
            return
        guarded = self._drain.guarded(now)
        if guarded is not None:
            self._give_deferred(guarded, now, guard=True)
        while parts.live.ready and not self._full:
            if not any(self._give_live(one, now) for one in parts.sessions.in_turn()):
                break
        while parts.live.empty and not self._full:
            surplus = self._drain.surplus(now)
            if surplus is None or not self._give_deferred(surplus, now, guard=False):
                break

    @property
    def _full(self) -> bool:
        return self._parts.leases.out >= self._parts.settings.max_out

    # ---- live -----------------------------------------------------------------------------------

    def _give_live(self, waiting: Waiting, now: int) -> bool:
        parts, session = self._parts, waiting.session
        others = parts.sessions.others_wait(session)
        if others and parts.live.keeps_first_from(session.key):
            return False
        room = Room(self._share(waiting), waiting.credit_bytes, ANSWER_MAP_BYTES)
        grants: list[Grant] = []
        while (
            room.messages > 0 and room.map_bytes > GRANT_BYTES and self._may_hold(session, grants)
        ):
            spans = parts.live.take(room, session.key, others)
            if not spans:
                break
            grants.append(self._lease_live(waiting, spans, now))
        if grants:
            self._sent(waiting, grants, now)
        return bool(grants)

    def _may_hold(self, session: Session, grants: Sequence[Grant]) -> bool:
        return (
            len(grants) < self._parts.core.answer_leases_max
            and len(session.leases) < self._parts.settings.leases_per_session
        )

    def _share(self, waiting: Waiting) -> int:
        """What is there, divided by the idle handlers that wait; about a slice of work; and no
        more than it asked for."""
        parts, session = self._parts, waiting.session
        share = min(waiting.credit, parts.settings.max_out - parts.leases.out)
        if waiting.idle:
            there, hands = parts.live.ready, parts.sessions.idle_handlers
            share = min(share, -(-there * waiting.idle // hands))
        if session.live_us is not None:
            slice_us = parts.settings.live_slice_us * session.handlers
            share = min(share, in_a_slice(slice_us, session.live_us, session.told_live_us))
        return max(1, share)

    def _lease_live(self, waiting: Waiting, spans: list[Span], now: int) -> Grant:
        parts = self._parts
        lease = Lease(parts.leases.next_id(), waiting, now, spans=spans)
        again = any(span.deliveries > 1 for span in spans)
        deliveries = (
            [span.deliveries for span in spans for _ in range(span.messages)] if again else ()
        )
        row = spans[0].row
        return self._issue(
            lease,
            Grant(
                lease=lease.id,
                topic=row.topic,
                lane=LIVE,
                number=self._next_number(),
                lease_ms=lease.lease_us // 1_000,
                alone=False,
                pieces=lease.pieces(),
                at_us=row.at_us,
                deliveries=tuple(deliveries),
            ),
        )

    # ---- deferred -------------------------------------------------------------------------------

    def _give_deferred(self, waiting: Waiting, now: int, guard: bool) -> bool:
        """One lease, and nothing beside it."""
        parts = self._parts
        messages = min(waiting.credit, parts.settings.max_out - parts.leases.out)
        wanted = self._drain.lease_records(waiting.session, self._settler.deferred_us)
        taken = parts.deferred.take(now, messages, min(wanted, messages))
        if not taken:
            return False
        fitting = self._fitting(taken, waiting.credit_bytes)
        for waits in taken[fitting:]:
            parts.deferred.put_back(waits.record, waits.undone)
        records_out = [Held(*waits) for waits in taken[:fitting]]
        records_out[0] = self._cut_to(records_out[0], messages, waiting.credit_bytes, now)
        records_out.sort(key=lambda held: held.first)
        # Its bytes are read from the state store: they must be on their way there before it.
        parts.journal.flush()
        self._sent(waiting, [self._lease_deferred(waiting, records_out, guard, now)], now)
        return True

    def _cut_to(self, held: Held, messages: int, size: int, now: int) -> Held:
        """A range of suspects may be more than was asked for: then only its beginning goes out."""
        record = held.record
        messages = max(1, min(messages, size * record.messages // max(1, record.size)))
        if messages >= record.messages:
            return held
        middle = record.first + messages
        rest: News = [(DEFERRED, cut(record, middle, record.last))]
        begin = [cut(record, record.first, middle - 1)]
        replace = self._parts.parking.replace
        return Held(replace(DEFERRED, record, rest, begin, now, held.undone)[0], held.undone)

    def _fitting(self, taken: Sequence[Waits], size: int) -> int:
        """How many fit the credit and the map of an answer: one does whatever its size."""
        map_bytes = ANSWER_MAP_BYTES - GRANT_BYTES
        for number, waits in enumerate(taken):
            size -= waits.record.size
            map_bytes -= RANGE_BYTES + _lines_bytes(_lines(waits.record))
            if number and (size < 0 or map_bytes < 0):
                return number
        return len(taken)

    def _lease_deferred(
        self, waiting: Waiting, records: list[Held], guard: bool, now: int
    ) -> Grant:
        parts = self._parts
        lease = Lease(parts.leases.next_id(), waiting, now, records=records)
        lease.guard = guard
        lease.alone = records[0].record.alone
        first = records[0].record
        grant = Grant(
            lease=lease.id,
            topic=first.topic,
            lane=DEFERRED,
            number=self._next_number(),
            lease_ms=lease.lease_us // 1_000,
            alone=lease.alone,
            pieces=lease.pieces(),
            at_us=first.at_us,
            attempts=self._attempts(records),
            deliveries=self._deliveries(records),
            history=_histories(records),
        )
        waiting.session.drained = True
        return self._issue(lease, grant)

    def _attempts(self, records: Sequence[Held]) -> tuple[int, ...]:
        if not any(held.record.attempts for held in records):
            return ()
        return tuple(held.record.attempts for held in records for _ in range(held.record.messages))

    def _deliveries(self, records: Sequence[Held]) -> tuple[int, ...]:
        boot = self._parts.boot
        numbers = [deliveries_before(held.record, boot) + held.undone + 1 for held in records]
        if all(number == 1 for number in numbers):
            return ()
        return tuple(
            number
            for number, held in zip(numbers, records, strict=True)
            for _ in range(held.record.messages)
        )

    # ---- both -----------------------------------------------------------------------------------

    def _next_number(self) -> int:
        self._grants += 1
        return self._grants

    def _issue(self, lease: Lease, grant: Grant) -> Grant:
        self._parts.leases.add(lease)
        self._parts.timers.set(("lease", lease), lease.ends_us)
        if lease.lane == LIVE:
            lease.session.drained = False
        return grant

    def _sent(self, waiting: Waiting, grants: list[Grant], now: int) -> None:
        session = waiting.session
        messages = sum(one.last - one.first + 1 for grant in grants for one in grant.pieces)
        session.idle = max(0, session.idle - messages)
        self._parts.load.note(session, now)
        self._answer(waiting, tuple(grants), now)


def _lines(record: Parked) -> tuple[Line, ...]:
    return tuple(
        (line.at_us, cut_text(line.reason, REASON_SHOWN), line.consumer, line.counted)
        for line in record.history[-HISTORY_SHOWN:]
    )


def _lines_bytes(lines: Sequence[Line]) -> int:
    return sum(
        LINE_BYTES + len(reason.encode()) + len(consumer) for _, reason, consumer, _ in lines
    )


def _histories(records: Sequence[Held]) -> tuple[tuple[Line, ...], ...]:
    """One per message; left out where a long range would repeat it too often."""
    lines = [_lines(held.record) for held in records]
    size = sum(
        _lines_bytes(some) * held.record.messages for some, held in zip(lines, records, strict=True)
    )
    if size > ANSWER_MAP_BYTES:
        return ()
    return tuple(
        some for some, held in zip(lines, records, strict=True) for _ in range(held.record.messages)
    )
