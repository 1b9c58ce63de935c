"""The live lane of a group: new messages in position order, and what came back unsettled.

Owns the cursor (nothing at or above it was ever handed out in this boot), a bounded window of
rows ahead of it, and the spans that came back. Must never know sessions' pace or outcomes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from laybyd.core.floor import Floor
from laybyd.core.intervals import ByPosition, Range
from laybyd.core.types import Row

PACK_BYTES = 64 << 10
"""Small blocks are packed into one lease up to about this; a block above half of it goes alone."""
PACK_SPANS = 512
MESSAGES_MAX = 32_768
"""Messages in one lease, so that its per-message fields fit an answer's map."""
GRANT_BYTES = 160
RANGE_BYTES = 20
NOT_AGAIN_RELEASES = 3
"""What a session gave back so often goes to another that waits, if there is one."""


class Span(NamedTuple):
    """A run of one stored block. `deliveries` counts how often it was handed out in this boot,
    `releases` how often it came back by release, `starts` how often of these it was started."""

    first: int
    last: int
    row: Row
    deliveries: int = 0
    releases: int = 0
    starts: int = 0
    session: bytes = b""

    @property
    def messages(self) -> int:
        return self.last - self.first + 1

    @property
    def size(self) -> int:
        return max(1, self.messages * self.row.size // self.row.messages)

    def cut(self, first: int, last: int) -> Span:
        return self._replace(first=max(first, self.first), last=min(last, self.last))


class Room:
    """What still fits an answer. At least one message comes, whatever its size."""

    __slots__ = ("fresh", "map_bytes", "messages", "size")

    def __init__(self, messages: int, size: int, map_bytes: int) -> None:
        self.messages = messages
        self.size = size
        self.map_bytes = map_bytes
        self.fresh = True

    def fit(self, messages: int, message_size: int) -> int:
        fitting = min(messages, self.messages, self.size // max(1, message_size))
        return max(fitting, 1) if self.fresh and self.messages > 0 else fitting

    def use(self, messages: int, size: int) -> None:
        self.messages -= messages
        self.size = max(0, self.size - size)
        self.fresh = False


class _Packing:
    """One lease in the making: neighbours of one topic, while they are small."""

    __slots__ = ("messages", "ranges", "room", "size", "spans")

    def __init__(self, room: Room) -> None:
        self.room = room
        self.spans: list[Span] = []
        self.size = 0
        self.messages = 0
        self.ranges = 0

    def takes(self, row: Row) -> bool:
        if not self.spans:
            return True
        if self.ranges * RANGE_BYTES + GRANT_BYTES > self.room.map_bytes:
            return False
        last = self.spans[-1].row
        if last.first == row.first:
            return self.messages < MESSAGES_MAX
        small = row.size * 2 <= PACK_BYTES and last.size * 2 <= PACK_BYTES
        return (
            small
            and row.topic == last.topic
            and self.size + row.size <= PACK_BYTES
            and len(self.spans) < PACK_SPANS
        )

    def add(self, span: Span) -> Span | None:
        """Take as much of the span as there is room for; gives what was taken."""
        room = min(span.messages, MESSAGES_MAX - self.messages)
        fitting = self.room.fit(room, span.size // span.messages)
        if fitting <= 0:
            return None
        taken = span._replace(last=span.first + fitting - 1, deliveries=span.deliveries + 1)
        if not self.spans or self.spans[-1].last + 1 != taken.first:
            self.ranges += 1
        self.room.use(fitting, taken.size)
        self.spans.append(taken)
        self.size += taken.size
        self.messages += fitting
        return taken

    def close(self) -> list[Span]:
        self.room.map_bytes -= GRANT_BYTES + self.ranges * RANGE_BYTES
        if self.spans and self.spans[-1].deliveries > 1:
            self.room.map_bytes -= self.messages
        return self.spans


class Live:
    """`wants` says from which position of a row on the group wants it (past its end: not at all);
    `skip` is told of ranges that nobody wants."""

    def __init__(
        self,
        floor: Floor,
        log_end: int,
        wants: Callable[[Row], bool],
        skip: Callable[[int, int], None],
        window_rows: int,
    ) -> None:
        self._floor = floor
        self.wants = wants
        self.skip = skip
        self._window_rows = window_rows
        self.cursor = floor.position
        self.log_end = log_end
        self.window: deque[Row] = deque()
        self.window_end = floor.position
        self.returned: ByPosition[Span] = ByPosition()
        self.ready = 0
        self.loading = False

    # ---- rows come in ---------------------------------------------------------------------------

    @property
    def behind(self) -> bool:
        """There are rows that were not looked at yet."""
        return self.window_end < self.log_end

    @property
    def empty(self) -> bool:
        return not self.ready and not self.behind

    def wants_rows(self) -> bool:
        """There is more to look at, and room for it."""
        if self.loading or not self.behind:
            return False
        while self.window and self._next_open(self.window[0]) is None:
            self._pass(self.window[0])
        return len(self.window) * 2 <= self._window_rows

    def new_rows(self, rows: Sequence[Row]) -> None:
        follows = not self.behind and not self.loading
        self.log_end = max(self.log_end, rows[-1].last + 1)
        if follows and len(self.window) < self._window_rows:
            for row in rows:
                self._look_at(row)

    def loaded(self, first: int, rows: Iterable[Row], upto: int) -> None:
        """What lies between is gone from the log: nobody needed it."""
        self.loading = False
        if first > self.window_end:
            return
        for row in rows:
            self._look_at(row)
        if upto > self.window_end:
            self.skip(self.window_end, upto - 1)
            self.window_end = upto
        self.log_end = max(self.log_end, self.window_end)

    def _look_at(self, row: Row) -> None:
        if row.last < self.window_end:
            return
        if row.first > self.window_end:
            self.skip(self.window_end, row.first - 1)
        first = max(row.first, self.window_end)
        self.window_end = row.last + 1
        if not self.wants(row):
            self.skip(first, row.last)
            return
        open_run = self._floor.next_open(first, row.last)
        if open_run == (first, row.last):
            self.ready += row.last - first + 1
        elif open_run is None:
            return
        else:
            self.ready += _measure(self._floor.open_in(first, row.last))
        self.window.append(row)

    # ---- messages go out ------------------------------------------------------------------------

    def take(self, room: Room, session: bytes, others_wait: bool) -> list[Span]:
        """The spans of one lease; what came back goes first, also when it does not fit."""
        if len(self.returned):
            spans = self._take_returned(room, session, others_wait)
            if spans is not None:
                return spans
        return self._take_new(room)

    def keeps_first_from(self, session: bytes) -> bool:
        """What is first in line is for others, if any wait: their turn comes before this one's."""
        first = next(iter(self.returned), None)
        return first is not None and _is_kept_from(session, first)

    def _take_returned(self, room: Room, session: bytes, others_wait: bool) -> list[Span] | None:
        """None: nothing of it is for this session."""
        packing = None
        for span in self.returned:
            if others_wait and _is_kept_from(session, span):
                continue
            packing = packing or _Packing(room)
            if not packing.takes(span.row):
                break
            taken = packing.add(span)
            if taken is None:
                break
            self.returned.pop(span.first)
            if taken.last < span.last:
                self.returned.add(span._replace(first=taken.last + 1))
                break
        if packing is None:
            return None
        self.ready -= packing.messages
        return packing.close()

    def _take_new(self, room: Room) -> list[Span]:
        packing = _Packing(room)
        while self.window and room.messages > 0:
            row = self.window[0]
            run = self._next_open(row)
            if run is None:
                self._pass(row)
                continue
            taken = packing.add(Span(*run, row)) if packing.takes(row) else None
            if taken is None:
                break
            self.cursor = taken.last + 1
            if self.cursor > row.last:
                self.window.popleft()
        self.ready -= packing.messages
        return packing.close()

    def _next_open(self, row: Row) -> Range | None:
        return self._floor.next_open(max(self.cursor, row.first), row.last)

    def _pass(self, row: Row) -> None:
        self.window.popleft()
        self.cursor = row.last + 1

    # ---- messages come back, or are dealt with before they were handed out ----------------------

    def give_back(self, span: Span) -> None:
        """To the front: before everything that was never handed out; if it is still wanted."""
        if self.wants(span.row):
            self.returned.add(span)
            self.ready += span.messages
        else:
            self.skip(span.first, span.last)

    def waiting_in(self, first: int, last: int) -> tuple[list[Span], list[Range]]:
        """Of open positions: the spans that came back, and the runs that were never out. What is
        in neither is held by somebody."""
        spans = [span.cut(first, last) for span in self.returned.overlap(first, last)]
        new = [(max(first, self.cursor), last)] if last >= self.cursor else []
        return spans, new

    def withdraw(self, first: int, last: int) -> None:
        """Take waiting positions out of the lane; call before they are settled."""
        for span in self.returned.overlap(first, last):
            self.returned.pop(span.first)
            self.ready -= span.cut(first, last).messages
            if span.first < first:
                self.returned.add(span._replace(last=first - 1))
            if span.last > last:
                self.returned.add(span._replace(first=last + 1))
        low, high = max(first, self.cursor), min(last, self.window_end - 1)
        if low <= high:
            self.ready -= _measure(self._floor.open_in(low, high))

    def row_at(self, position: int) -> Row | None:
        at = bisect_right(self.window, position, key=_first) - 1
        return self.window[at] if at >= 0 and self.window[at].last >= position else None

    def refuse_rows(self) -> list[Range]:
        """The subscription or a topic has changed: what waits here and is not wanted any more.
        Gives the ranges, to be skipped by the caller after `withdraw`."""
        gone = [(span.first, span.last) for span in self.returned if not self.wants(span.row)]
        for row in self.window:
            if not self.wants(row):
                gone += self._floor.open_in(max(row.first, self.cursor), row.last)
        return gone


def _first(row: Row) -> int:
    return row.first


def _is_kept_from(session: bytes, span: Span) -> bool:
    """It has given this back too often."""
    return span.session == session and span.releases >= NOT_AGAIN_RELEASES


def _measure(runs: Iterable[Range]) -> int:
    return sum(last - first + 1 for first, last in runs)
