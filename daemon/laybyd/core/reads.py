"""Reads without a group: for tail, replay and looking.

Owns readers that wait for rows. Must never know groups; a read takes nothing from anybody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from laybyd.core.deadlines import Deadlines
from laybyd.core.effects import Effect, FindTime, LoadRows, ReadOut, Refuse
from laybyd.core.events import Read
from laybyd.core.live import PACK_BYTES, PACK_SPANS
from laybyd.core.settings import MS, CoreSettings
from laybyd.core.tokens import Tokens
from laybyd.core.topics import Matcher, Topics
from laybyd.core.types import Piece, Row

ROWS_AT_ONCE = 512
READS_MAX = 1_024
READS_OF_ONE_MAX = 16
"""Reads under way, of all connections and of one: each new row is shown to every reader."""


class _Answer:
    """Rows gathered for one answer: a block per run of small neighbours of one topic."""

    def __init__(self, event: Read, blocks_max: int) -> None:
        self._limit = event.limit
        self._size = event.limit_bytes
        self._blocks_max = blocks_max
        self._block_size = 0
        self.blocks: list[tuple[str, list[Piece]]] = []
        self.at_us: list[int] = []

    def add(self, row: Row, first: int, last: int) -> int:
        """Take what fits of the row; gives the position to go on from."""
        message_size = max(1, row.size // row.messages)
        fitting = min(last - first + 1, self._limit, self._size // message_size)
        if not self.blocks:
            fitting = max(1, fitting)
        if fitting <= 0 or not self._make_room(row, fitting * message_size):
            return first
        self.blocks[-1][1].append(Piece(first, first + fitting - 1, row.first))
        self._limit -= fitting
        self._size -= fitting * message_size
        self._block_size += fitting * message_size
        return first + fitting

    def _make_room(self, row: Row, size: int) -> bool:
        if self.blocks and self.blocks[-1][0] == row.topic:
            small = self._block_size + size <= PACK_BYTES
            if small and len(self.blocks[-1][1]) < PACK_SPANS:
                return True
        if len(self.blocks) >= self._blocks_max:
            return False
        self.blocks.append((row.topic, []))
        self.at_us.append(row.at_us)
        self._block_size = 0
        return True


class _Reader:
    __slots__ = ("event", "matcher", "position", "until_us")

    def __init__(self, event: Read, position: int, until_us: int) -> None:
        self.event = event
        self.matcher = Matcher(event.topics)
        self.position = position
        self.until_us = until_us


class Reads:
    def __init__(
        self, settings: CoreSettings, topics: Topics, out: list[Effect], log_end: int
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._out = out
        self._asked: Tokens[_Reader] = Tokens()
        self._parked: dict[_Reader, None] = {}
        self._of: Counter[bytes] = Counter()
        self._deadlines: Deadlines[_Reader] = Deadlines()
        self.log_end = log_end
        self.closed = False

    @property
    def next_deadline(self) -> int | None:
        return self._deadlines.next()

    def read(self, event: Read, now: int) -> None:
        peer = event.caller.peer
        if self._of.total() >= READS_MAX or self._of[peer] >= READS_OF_ONE_MAX:
            text = f"{READS_OF_ONE_MAX} reads of a connection at a time, {READS_MAX} of all"
            self._out.append(Refuse(event.caller, "over_limit", text))
            return
        self._of[peer] += 1
        until_us = now + min(event.wait_ms * MS, self._settings.wait_us_max)
        position = self.log_end if event.first is None else event.first
        reader = _Reader(event, position, until_us)
        if event.at_us is not None:
            who = ("read", self._asked.take(reader))
            self._out.append(FindTime(who, event.at_us))
        else:
            self._go_on(reader, now)

    def time_found(self, token: int, position: int, now: int) -> None:
        reader = self._asked.back(token)
        assert reader is not None, "a time was found that nobody asked for"
        reader.position = position
        self._go_on(reader, now)

    def rows_loaded(self, token: int, rows: Sequence[Row], upto: int, now: int) -> None:
        reader = self._asked.back(token)
        assert reader is not None, "rows were loaded that nobody asked for"
        self.log_end = max(self.log_end, upto)
        if not self._offer(reader, rows, upto):
            self._go_on(reader, now)

    def new_rows(self, rows: Sequence[Row], now: int) -> None:
        self.log_end = max(self.log_end, rows[-1].last + 1)
        for reader in list(self._parked):
            if self._offer(reader, rows, self.log_end):
                self._unpark(reader)

    def _offer(self, reader: _Reader, rows: Sequence[Row], upto: int) -> bool:
        """Answer, if there is anything for the reader in the rows, or it has come to its end."""
        answer = _Answer(reader.event, self._settings.answer_leases_max)
        end = self._end(reader)
        for row in rows:
            first, last = max(row.first, reader.position), min(row.last, end - 1)
            if first > last:
                continue
            if self._is_wanted(reader, row):
                reader.position = answer.add(row, first, last)
                if reader.position <= last:
                    break
            else:
                reader.position = last + 1
        else:
            reader.position = max(reader.position, min(upto, end))
        if not answer.blocks and reader.position < end:
            return False
        blocks = tuple((topic, tuple(pieces)) for topic, pieces in answer.blocks)
        self._send(reader, blocks, tuple(answer.at_us))
        return True

    def _end(self, reader: _Reader) -> int:
        until = reader.event.until
        return until if until is not None else 1 << 53

    def _is_wanted(self, reader: _Reader, row: Row) -> bool:
        return reader.matcher(row.topic) and not self._topics.is_forgotten(row.topic, row.last)

    def _go_on(self, reader: _Reader, now: int) -> None:
        if reader.position >= self._end(reader) or self.closed:
            self._send(reader)
        elif reader.position < self.log_end:
            who = ("read", self._asked.take(reader))
            self._out.append(LoadRows(who, reader.position, ROWS_AT_ONCE))
        elif reader.until_us <= now:
            self._send(reader)
        else:
            self._parked[reader] = None
            self._deadlines.set(reader, reader.until_us)

    def tick(self, now: int) -> None:
        for reader in self._deadlines.due(now):
            del self._parked[reader]
            self._send(reader)

    def close(self) -> None:
        """Everybody who waits is answered, and nobody waits any more."""
        self.closed = True
        for reader in list(self._parked):
            self._unpark(reader)
            self._send(reader)

    def _unpark(self, reader: _Reader) -> None:
        del self._parked[reader]
        self._deadlines.cancel(reader)

    def _send(
        self,
        reader: _Reader,
        blocks: tuple[tuple[str, tuple[Piece, ...]], ...] = (),
        at_us: tuple[int, ...] = (),
    ) -> None:
        peer = reader.event.caller.peer
        self._of[peer] -= 1
        if not self._of[peer]:
            del self._of[peer]
        self._out.append(ReadOut(reader.event.caller, blocks, reader.position, at_us))
