"""The auditor's book of the log: positions, values, producers.

Owns what was pushed, stored and confirmed. Reads the store itself, so that the core's word is
never taken for it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from laybyd.core.effects import Confirm, Refuse
from laybyd.core.events import Push
from laybyd.core.types import Caller, Row
from laybyd.store.memory import MemoryStore
from tests.simulation import bodies

BRIEF_CHARS = 400


class Violation(AssertionError):
    """The broker broke a promise, at that step."""

    def __init__(self, text: str, step: int = 0) -> None:
        super().__init__(text)
        self.step = step

    @property
    def brief(self) -> str:
        """What an account says of it."""
        return str(self).splitlines()[0][:BRIEF_CHARS]


def demand(held: object, text: str) -> None:
    if not held:
        raise Violation(text)


class LogBook:
    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.end = 1
        self.told_end = 1
        self.values: list[int] = [0]
        self.stored: dict[int, int] = {}
        self.confirmed = 0
        self._firsts: list[int] = []
        self._attempted: set[int] = set()
        self._refused: set[int] = set()
        self._numbered: dict[tuple[bytes, int], tuple[str, tuple[int, ...]]] = {}
        self._askers: dict[tuple[bytes, int], set[tuple[bytes, ...]]] = {}
        self._placed: dict[tuple[bytes, int], int] = {}
        self._latest: dict[tuple[bytes, str], tuple[int, int]] = {}
        self._dense: dict[bytes, int] = {}

    # ---- pushes -----------------------------------------------------------------------------

    def pushed(self, push: Push) -> None:
        values = _values(push)
        self._attempted.update(values)
        self._refused.difference_update(values)
        if push.producer is not None and push.seq is not None:
            number = push.producer, push.seq
            self._numbered.setdefault(number, (push.topic, values))
            self._askers.setdefault(number, set()).add(_where(push.caller))

    def refused(self, push: Push) -> None:
        """An unnumbered push that was refused is never stored, unless it is pushed again."""
        self._refused.update(_values(push))

    def answered(self, push: Push, first: int, messages: int) -> None:
        demand(messages == push.messages, f"{messages} confirmed, {push.messages} pushed")
        self._check_stored(push.topic, _values(push), first)

    def confirm(self, effect: Confirm) -> None:
        seqs = range(effect.first_seq, effect.last_seq + 1)
        demand(len(seqs) == len(effect.positions), f"{effect} does not name each push")
        for seq, position in zip(seqs, effect.positions, strict=True):
            self._confirm(effect.producer, seq, position)
            asked = _where(effect.caller) in self._askers[effect.producer, seq]
            demand(asked, f"{effect} tells of {seq} who did not push it")

    def _confirm(self, producer: bytes, seq: int, position: int) -> None:
        known = self._numbered.get((producer, seq))
        demand(known, f"{producer!r} {seq} is confirmed but was never pushed")
        assert known is not None
        topic, values = known
        self._check_dense(producer, seq)
        if position:
            self._check_stored(topic, values, position)
            before = self._placed.setdefault((producer, seq), position)
            demand(before == position, f"{producer!r} {seq} is at {before} and at {position}")
            self._check_order(producer, topic, seq, position)
        else:
            lost = [value for value in values if value not in self.stored]
            demand(not lost, f"{producer!r} {seq} is confirmed but {lost} are not in the log")

    def _check_dense(self, producer: bytes, seq: int) -> None:
        """Of what was pushed before it nothing is missing."""
        for before in range(self._dense.get(producer, 0) + 1, seq):
            _, values = self._numbered.get((producer, before), ("", (0,)))
            missing = not self.stored.keys() >= set(values)
            demand(not missing, f"{producer!r} {seq} is confirmed, {before} is not in the log")
        self._dense[producer] = max(seq - 1, self._dense.get(producer, 0))

    def _check_order(self, producer: bytes, topic: str, seq: int, position: int) -> None:
        last_seq, last_position = self._latest.get((producer, topic), (0, 0))
        if seq > last_seq:
            demand(position > last_position, f"{producer!r}: {seq} lies before {last_seq}")
            self._latest[producer, topic] = seq, position

    def refusal(self, effect: Refuse) -> None:
        producer, seq = effect.fields.get("producer"), effect.fields.get("seq")
        expected = effect.fields.get("expected")
        demand(isinstance(expected, int), f"{effect} does not tell what is expected")
        assert isinstance(producer, bytes)
        assert isinstance(seq, int)
        if effect.code == "conflict":
            raise Violation(f"{producer!r} {seq}: nobody pushed other bytes")

    def _check_stored(self, topic: str, values: tuple[int, ...], first: int) -> None:
        demand(first + len(values) <= self.end, f"{first} is confirmed before it is stored")
        stored = tuple(self.values[first : first + len(values)])
        demand(stored == values, f"confirmed {values} at {first}, the log has {stored}")
        demand(self.row_at(first).topic == topic, f"{first} was pushed to {topic}")
        self.confirmed += len(values)

    # ---- rows -------------------------------------------------------------------------------

    def extend(self, rows: Iterable[Row], store: MemoryStore) -> None:
        """Rows the core hears of; some it may have read before it was told of them."""
        for row in rows:
            if row.first < self.end:
                demand(self.row_at(row.first) == row, f"{row} was {self.row_at(row.first)}")
                continue
            demand(row.first == self.end, f"{row} does not follow {self.end - 1}")
            if self.rows:
                demand(row.at_us >= self.rows[-1].at_us, f"{row} was appended before its elder")
            kept, body = store.read(row.first)
            demand(kept == row, f"the store says {kept}, the core heard {row}")
            self._add(row, bodies.read(body))

    def _add(self, row: Row, values: list[int]) -> None:
        demand(len(values) == row.messages, f"{row} holds {len(values)} messages")
        for offset, value in enumerate(values):
            demand(value in self._attempted, f"{value} was never pushed")
            demand(value not in self._refused, f"{value} was refused, and is in the log")
            demand(value not in self.stored, f"{value} is stored twice")
            self.stored[value] = row.first + offset
        self.rows.append(row)
        self._firsts.append(row.first)
        self.values.extend(values)
        self.end = row.last + 1

    def told(self, rows: Sequence[Row], store: MemoryStore) -> None:
        """The core hears of what was appended: from now on it is work that waits. A reader may
        have met these rows before."""
        self.extend(rows, store)
        self.told_end = rows[-1].last + 1

    def reopened(self, store: MemoryStore) -> None:
        """After a crash: all that was known is there; more may be, that nobody was told of."""
        end = store.facts().end
        demand(end >= self.end, f"the log ended at {self.end}, now at {end}")
        rows, _ = store.rows(self.end, 1 << 30) if end > self.end else ([], 0)
        self.extend(rows, store)
        self.told_end = self.end

    def row_at(self, position: int) -> Row:
        return self.rows[bisect_right(self._firsts, position) - 1]

    def first_at(self, at_us: int, store: MemoryStore) -> int:
        """The first position appended then or later; the log's end when there is none. The store
        may hold some that nobody was told of yet."""
        at = bisect_left(self.rows, at_us, key=lambda row: row.at_us)
        if at < len(self.rows):
            return self._firsts[at]
        rows, end = store.rows(self.end, 1 << 30)
        return next((row.first for row in rows if row.at_us >= at_us), max(end, self.end))

    def rows_from(self, position: int) -> Iterable[Row]:
        at = max(0, bisect_right(self._firsts, position) - 1)
        for number in range(at, len(self.rows)):
            yield self.rows[number]


def _where(caller: Caller) -> tuple[bytes, ...]:
    return caller.peer, *caller.envelope


def _values(push: Push) -> tuple[int, ...]:
    assert isinstance(push.body, bytes)
    return tuple(bodies.read(push.body))


def matches(patterns: Iterable[str], topic: str) -> bool:
    return any(fnmatchcase(topic, pattern) for pattern in patterns)
