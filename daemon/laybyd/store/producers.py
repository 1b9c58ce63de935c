"""What the log remembers of producers: the last push of each, the last thousand of the latest.

Owns the table and its packed form. Must never know the disk it is kept on, nor what a repeated
push means. Rows stay packed (20 bytes each): a million of them are held, few are ever looked at.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from laybyd.core.types import ProducerState

if TYPE_CHECKING:
    from collections.abc import Iterator

ROW = Struct(">QQI")
"""seq, position, crc."""

_HEAD = Struct(">BQI")
"""Length of the id, last time, number of rows."""

DAY_US = 86_400_000_000


class Kept(NamedTuple):
    """How much is remembered."""

    rows: int = 1_024
    latest: int = 1_000
    producers: int = 100_000
    for_us: int = 7 * DAY_US


class _Seen(NamedTuple):
    last_us: int
    rows: bytes


class ProducerTable:
    """`note` every push; `fold` now and then, which bounds what is held and returns what came
    since the last fold (to be stored beside the log, so that a start need not replay it)."""

    def __init__(self, kept: Kept | None = None) -> None:
        self._kept = kept or Kept()
        self._new: dict[bytes, bytearray] = {}
        self._new_us: dict[bytes, int] = {}
        self._latest: dict[bytes, _Seen] = {}
        self._older: dict[bytes, _Seen] = {}

    def note(self, producer: bytes, seq: int, position: int, crc: int, at_us: int) -> None:
        rows = self._new.get(producer)
        if rows is None:
            rows = self._new[producer] = bytearray()
        rows += ROW.pack(seq, position, crc)
        self._new_us[producer] = at_us

    def fold(self) -> bytes:
        """Take in what is new, the least recent first, and give it back packed."""
        seen = sorted(
            ((self._new_us[producer], producer) for producer in self._new), key=lambda one: one[0]
        )
        kept = self._kept.rows * ROW.size
        made = [(one, _Seen(at_us, _by_seq(self._new[one])[-kept:])) for at_us, one in seen]
        self._new.clear()
        self._new_us.clear()
        for producer, part in made:
            self._take(producer, part)
        return _packed(made)

    def load(self, packed: bytes) -> None:
        """Take in what an earlier `fold` or `dump` gave."""
        for producer, part in _unpacked(packed):
            self._take(producer, part)

    def dump(self, now_us: int) -> bytes:
        """All that is remembered and not too old."""
        return _packed(list(self._copy()._living(now_us)))

    def states(self, now_us: int) -> list[ProducerState]:
        """The same, least recently seen first, for the core."""
        return [
            ProducerState(producer, recent[-1][0], seen.last_us, recent)
            for producer, seen in self._copy()._living(now_us)
            if (recent := tuple(ROW.iter_unpack(seen.rows)))
        ]

    def _copy(self) -> ProducerTable:
        """With all that is new taken in; ours is not folded, its next fold must name it."""
        copy = ProducerTable(self._kept)
        copy._latest, copy._older = self._latest.copy(), self._older.copy()
        copy._new = {name: bytearray(rows) for name, rows in self._new.items()}
        copy._new_us = self._new_us.copy()
        copy.fold()
        return copy

    def _living(self, now_us: int) -> Iterator[tuple[bytes, _Seen]]:
        oldest = now_us - self._kept.for_us
        for part in (self._older, self._latest):
            for producer, seen in part.items():
                if seen.last_us >= oldest:
                    yield producer, seen

    def _take(self, producer: bytes, part: _Seen) -> None:
        """The dicts are in order of last sight; who drops out of the latest keeps one row. A log
        that was trimmed inside a commit gives rows of it in two parts."""
        before = self._latest.pop(producer, None) or self._older.pop(producer, None)
        if before is not None:
            whole = before.rows + part.rows
            if part.rows < before.rows[-ROW.size :]:
                whole = _by_seq(whole)
            part = _Seen(part.last_us, whole[-self._kept.rows * ROW.size :])
        self._latest[producer] = part
        while len(self._latest) > self._kept.latest:
            name, seen = _pop_first(self._latest)
            self._older[name] = _Seen(seen.last_us, seen.rows[-ROW.size :])
        while len(self._latest) + len(self._older) > self._kept.producers:
            _pop_first(self._older or self._latest)


def _by_seq(rows: bytes | bytearray) -> bytes:
    """A commit holds a producer's pushes in the order of their topics."""
    whole = bytes(rows)
    return b"".join(sorted(whole[at : at + ROW.size] for at in range(0, len(whole), ROW.size)))


def _pop_first(table: dict[bytes, _Seen]) -> tuple[bytes, _Seen]:
    name = next(iter(table))
    return name, table.pop(name)


def _packed(parts: list[tuple[bytes, _Seen]]) -> bytes:
    return b"".join(
        _HEAD.pack(len(name), seen.last_us, len(seen.rows) // ROW.size) + name + seen.rows
        for name, seen in parts
    )


def _unpacked(packed: bytes) -> Iterator[tuple[bytes, _Seen]]:
    at = 0
    while at < len(packed):
        length, last_us, rows = _HEAD.unpack_from(packed, at)
        at += _HEAD.size
        name, at = packed[at : at + length], at + length
        yield name, _Seen(last_us, packed[at : (at := at + rows * ROW.size)])
