"""Producers: which push is next, which one is a repeat, and when each is confirmed.

Owns the sequences of producers. A producer numbers its pushes 1, 2, 3 …; a refused one refuses all
that follow until it is sent again, so that nothing confirmed is ever missing from its order. Must
never know groups, bodies, or how the log makes a push durable.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Iterable

from laybyd.core.effects import Append, Confirm, Effect, Refuse, Reply, ResumeAppends
from laybyd.core.events import NotStored, Push, Stored
from laybyd.core.settings import CoreSettings
from laybyd.core.space import Space
from laybyd.core.types import Caller, ProducerState

REPEAT_CALLERS_MAX = 8
"""Connections besides the first that may wait for one push in flight."""


class _Memory:
    """Position and CRC of the last pushes of a producer: a ring of plain numbers.

    A thousand producers with a thousand pushes each are a million entries; as Python objects they
    would cost 200 MB, like this they cost 12.
    """

    __slots__ = ("_crcs", "_origin", "_positions", "_size")

    def __init__(self, origin: int, size: int) -> None:
        self._origin = origin
        self._size = size
        self._positions = array("Q")
        self._crcs = array("I")

    def add(self, seq: int, position: int, crc: int) -> None:
        """`seq` follows the last one added (the first is the origin)."""
        if len(self._positions) < self._size:
            self._positions.append(position)
            self._crcs.append(crc)
            return
        slot = (seq - self._origin) % self._size
        self._positions[slot] = position
        self._crcs[slot] = crc

    def find(self, seq: int, last: int) -> tuple[int, int] | None:
        if last - seq >= len(self._positions):
            return None
        slot = (seq - self._origin) % self._size
        return self._positions[slot], self._crcs[slot]


class _Producer:
    """One producer: `last` is confirmed; `flight` holds last + 1, last + 2 … on their way."""

    __slots__ = ("flight", "landed", "last", "memory", "seen_us")

    def __init__(self, last: int, seen_us: int, memory: _Memory) -> None:
        self.last = last
        self.seen_us = seen_us
        self.memory = memory
        self.flight: dict[int, Push] = {}
        self.landed: dict[int, int] = {}

    @property
    def expected(self) -> int:
        return self.last + len(self.flight) + 1

    def remember_last(self, size: int) -> None:
        """Of what was confirmed only the last; from now on as many as `size`."""
        known = self.memory.find(self.last, self.last)
        self.memory = _Memory(self.last + (known is None), size)
        if known is not None:
            self.memory.add(self.last, *known)


class Pushes:
    def __init__(
        self, settings: CoreSettings, producers: Iterable[ProducerState], space: Space
    ) -> None:
        self.space = space
        self.quiescing = False
        self.pins = ""
        self._settings = settings
        self._latest: OrderedDict[bytes, _Producer] = OrderedDict()
        self._others: OrderedDict[bytes, _Producer] = OrderedDict()
        self._flying: dict[bytes, _Producer] = {}
        self._repeats: dict[tuple[bytes, int], dict[tuple[bytes, ...], Caller]] = {}
        self._in_flight = 0
        self._doomed = 0
        for state in producers:
            self._restore(state)
        self._forget_surplus()

    def push(self, event: Push, now: int) -> list[Effect]:
        if event.producer is None or event.seq is None:
            return self._push_unnumbered(event)
        producer = self._find(event.producer)
        if producer is not None and event.seq < producer.expected:
            return self._repeat(event, event.producer, event.seq, producer)
        expected = 1 if producer is None else producer.expected
        refusal = self._refusal(event) or self._out_of_turn(event, producer, expected)
        if refusal is not None:
            return [refusal]
        if producer is None:
            producer = self._welcome(event.producer, now)
        if not producer.flight:
            self._flying[event.producer] = producer
        producer.flight[event.seq] = event
        self._in_flight += 1
        return [Append(event)]

    def stored(self, event: Stored, now: int) -> list[Effect]:
        """Confirm what is durable: cumulatively, and never past a push that is not yet stored
        (a commit may hold a producer's pushes in the order of their topics)."""
        if self._doomed:
            raise AssertionError("a push was stored behind one that was not, before ResumeAppends")
        self._in_flight -= len(event.pushes)
        effects: list[Effect] = []
        landed: dict[bytes, _Producer] = {}
        for push, position in event.pushes:
            if push.producer is None or push.seq is None:
                fields = {"first": position, "count": push.messages}
                effects.append(Reply(push.caller, fields))
                continue
            producer = self._flying[push.producer]
            producer.landed[push.seq] = position
            landed[push.producer] = producer
        for name, producer in landed.items():
            self._confirm(name, producer, now, effects)
        self._forget_silent(now)
        self._forget_surplus()
        return effects

    def not_stored(self, event: NotStored) -> list[Effect]:
        """The log takes nothing behind a failed push until it meets ResumeAppends. So one answer
        goes out per failure, and everything in flight now is known to fail as well; were each
        report answered, a late answer could let a push through behind the *next* failure."""
        effects: list[Effect] = []
        self._in_flight -= len(event.pushes)
        if len(event.pushes) <= self._doomed:
            self._doomed -= len(event.pushes)
        else:
            effects.append(ResumeAppends())
            self._doomed = self._in_flight
            effects += self._roll_back(event.code, event.text)
        for push in event.pushes:
            effects.append(self._refuse(push, event.code, event.text))
        self._forget_surplus()
        return effects

    # ---- one push ---------------------------------------------------------------------------

    def _push_unnumbered(self, event: Push) -> list[Effect]:
        refusal = self._refusal(event)
        if refusal is not None:
            return [refusal]
        self._in_flight += 1
        return [Append(event)]

    def _refusal(self, event: Push) -> Refuse | None:
        """What stands against any new push."""
        if self.quiescing:
            return self._refuse(event, "quiescing", "the broker is stopping; push again later")
        if event.body is None:
            text = "more bytes are waiting for the disk than the broker holds; push again later"
            return self._refuse(event, "busy", text)
        if self.space.log_full:
            return self._refuse(event, "store_full", self._why_full())
        return None

    def _why_full(self) -> str:
        """What would make room: nothing that a group does, when it is the disk."""
        if self.space.disk_full:
            return "the disk of the store is full; free some room on it, and pushes go on"
        return f"the store is full; {self.pins}" if self.pins else "the store is full"

    def _out_of_turn(self, event: Push, producer: _Producer | None, expected: int) -> Refuse | None:
        if event.seq != expected:
            text = f"expected {expected}, got {event.seq}; send again from {expected}"
            if producer is None:
                text = "this producer is new or was forgotten; it begins at 1 (or takes a new id)"
            return self._refuse(event, "seq_gap", text)
        if producer and len(producer.flight) >= self._settings.producer_in_flight_max:
            text = f"{len(producer.flight)} pushes of this producer are in flight"
            return self._refuse(event, "busy", text)
        return None

    def _repeat(self, event: Push, name: bytes, seq: int, producer: _Producer) -> list[Effect]:
        first = producer.flight.get(seq)
        if first is not None:
            return self._repeat_in_flight(event, name, seq, first)
        known = producer.memory.find(seq, producer.last)
        if known is not None and known[1] != event.crc:
            return [self._conflict(event)]
        position = known[0] if known is not None else 0
        return [Confirm(event.caller, name, seq, seq, (position,))]

    def _repeat_in_flight(self, event: Push, name: bytes, seq: int, first: Push) -> list[Effect]:
        """Confirmed together with the first one, to everybody who asked."""
        if first.crc != event.crc:
            return [self._conflict(event)]
        where = _where(event.caller)
        if where == _where(first.caller):
            return []
        waiting = self._repeats.setdefault((name, seq), {})
        if where not in waiting and len(waiting) >= REPEAT_CALLERS_MAX:
            return [self._refuse(event, "busy", "too many connections wait for this push")]
        waiting[where] = event.caller
        return []

    def _conflict(self, event: Push) -> Refuse:
        text = f"push {event.seq} of this producer has other bytes"
        return self._refuse(event, "conflict", text)

    def _refuse(self, push: Push, code: str, text: str) -> Refuse:
        return self._refuse_caller(push.caller, push.producer, push.seq, code, text)

    def _refuse_caller(
        self, caller: Caller, name: bytes | None, seq: int | None, code: str, text: str
    ) -> Refuse:
        retry_ms = {
            "busy": self._settings.busy_retry_ms,
            "internal": self._settings.busy_retry_ms,
            "store_full": self._settings.full_retry_ms,
            "quiescing": self._settings.full_retry_ms,
        }.get(code, 0)
        if name is None or seq is None:
            return Refuse(caller, code, text, retry_ms)
        producer = self._find(name)
        expected = 1 if producer is None else producer.expected
        fields = {"producer": name, "seq": seq, "expected": expected}
        return Refuse(caller, code, text, retry_ms, fields)

    # ---- what the log says --------------------------------------------------------------------

    def _confirm(self, name: bytes, producer: _Producer, now: int, effects: list[Effect]) -> None:
        """One Confirm per run of pushes that came over one connection."""
        self._saw(name, producer, now)
        caller: Caller | None = None
        begin, positions = 0, list[int]()
        while (position := producer.landed.pop(producer.last + 1, 0)) > 0:
            producer.last = seq = producer.last + 1
            push = producer.flight.pop(seq)
            producer.memory.add(seq, position, push.crc)
            if caller is not None and not _same_place(caller, push.caller):
                effects.append(Confirm(caller, name, begin, seq - 1, tuple(positions)))
                caller = None
            if caller is None:
                begin, positions = seq, []
            caller = push.caller
            positions.append(position)
            if self._repeats:
                self._confirm_repeats(name, seq, position, effects)
        if caller is not None:
            effects.append(Confirm(caller, name, begin, producer.last, tuple(positions)))
        if not producer.flight:
            del self._flying[name]

    def _confirm_repeats(self, name: bytes, seq: int, position: int, to: list[Effect]) -> None:
        callers = self._repeats.pop((name, seq), {}).values()
        to.extend(Confirm(caller, name, seq, seq, (position,)) for caller in callers)

    def _roll_back(self, code: str, text: str) -> list[Effect]:
        """Nothing that is in flight will be stored; each push is refused when it is reported, but
        those who only waited for it hear of it now."""
        for producer in self._flying.values():
            producer.flight.clear()
            producer.landed.clear()
        self._flying.clear()
        refused: list[Effect] = [
            self._refuse_caller(caller, name, seq, code, text)
            for (name, seq), callers in self._repeats.items()
            for caller in callers.values()
        ]
        self._repeats.clear()
        return refused

    # ---- who is remembered --------------------------------------------------------------------

    def _find(self, name: bytes) -> _Producer | None:
        return self._latest.get(name) or self._others.get(name)

    def _restore(self, state: ProducerState) -> None:
        origin = state.recent[0][0] if state.recent else state.last_seq + 1
        memory = _Memory(origin, self._settings.producer_history)
        for seq, position, crc in state.recent:
            memory.add(seq, position, crc)
        self._remember(state.producer, _Producer(state.last_seq, state.last_us, memory))

    def _welcome(self, name: bytes, now: int) -> _Producer:
        producer = _Producer(0, now, _Memory(1, self._settings.producer_history))
        self._remember(name, producer)
        return producer

    def _remember(self, name: bytes, producer: _Producer) -> None:
        """As one of the latest; the oldest of those then keeps only its last push."""
        self._latest[name] = producer
        if len(self._latest) > self._settings.producers_recent:
            oldest, dropped = self._latest.popitem(last=False)
            dropped.remember_last(1)
            self._others[oldest] = dropped

    def _saw(self, name: bytes, producer: _Producer, now: int) -> None:
        producer.seen_us = now
        if name in self._latest:
            self._latest.move_to_end(name)
            return
        del self._others[name]
        producer.remember_last(self._settings.producer_history)
        self._remember(name, producer)

    def _forget_silent(self, now: int) -> None:
        while oldest := self._oldest():
            if now - oldest.seen_us <= self._settings.producer_kept_us or oldest.flight:
                return
            self._forget_oldest()

    def _forget_surplus(self) -> None:
        while len(self._latest) + len(self._others) > self._settings.producers_max:
            if not self._forget_oldest():
                return

    def _oldest(self) -> _Producer | None:
        for producers in (self._others, self._latest):
            for producer in producers.values():
                return producer
        return None

    def _forget_oldest(self) -> bool:
        """One with a push in flight is not forgotten: it is about to be the latest."""
        for producers in (self._others, self._latest):
            for name, producer in producers.items():
                if not producer.flight:
                    del producers[name]
                    return True
        return False


def _where(caller: Caller) -> tuple[bytes, ...]:
    return (caller.peer, *caller.envelope)


def _same_place(one: Caller, other: Caller) -> bool:
    return one.peer == other.peer and one.envelope == other.envelope
