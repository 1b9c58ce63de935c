"""The log: the run of segments in service, of which the last one takes new blocks.

Owns which segments there are and the order of steps that keeps every crash readable. Must never
know delivery state. Rolling: the old segment is sealed, the next file gets its name, the state
file is told of it, and only then is it written to. Trimming: the state file is told first, then
the files go. So the files must be exactly those the state file names, but for one empty file
ahead and retired ones behind; anything else is damage.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from laybyd.store import engine, limits
from laybyd.store.base import Damaged, Full, Unknown
from laybyd.store.producers import ProducerTable
from laybyd.store.segment import Segment
from laybyd.store.topics import joined
from laybyd.store.writer import Writer, estimate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from laybyd.core.types import ProducerState, Row, TopicState
    from laybyd.store.base import NewBlock
    from laybyd.store.directory import Directory
    from laybyd.store.spares import Spares
    from laybyd.store.statedb import Meta, StateDb

_T = TypeVar("_T")


class View(NamedTuple):
    """What readers see; replaced as a whole. `past_bytes` are those of all but the last."""

    bases: list[int]
    segments: list[Segment]
    past_bytes: int = 0


class Segments:
    def __init__(
        self,
        directory: Directory,
        state: StateDb,
        spares: Spares,
        segment_bytes: int,
        log_bytes: int,
    ) -> None:
        self._directory = directory
        self._state = state
        self._spares = spares
        self._segment_bytes = segment_bytes
        self._max_segments = max(2, log_bytes // segment_bytes)
        self._headroom = limits.log_headroom(self._max_segments * segment_bytes)
        self._disk_full = False
        self._asked = 0
        self._table = ProducerTable()
        self._view = View([], [])

    # ---- recovery

    def open(self) -> None:
        """Raises Damaged, naming the file and the reason."""
        files = self._sorted_files()
        segments: list[Segment] = []
        try:
            for number in sorted(files):
                is_past = number < self._state.meta.last
                segments.append(Segment(files[number], self._spares.map_bytes, is_past))
                check_header(segments[-1], number, self._state.meta)
                check_order(segments)
        except BaseException:
            for segment in segments:
                segment.close()
            raise
        self._show(segments)
        if segments:
            self._load_producers(segments)
        else:
            self._go_on(1, 0)

    def _sorted_files(self) -> dict[int, Path]:
        """The files of the log; retired ones and an unused one ahead become spares."""
        meta = self._state.meta
        files = self._directory.segments()
        for number in [one for one in files if one < meta.first]:
            self._directory.rename(files.pop(number), self._directory.spare(number))
        if meta.last + 1 in files:
            self._set_aside(files.pop(meta.last + 1), meta.last + 1)
        for number in range(meta.first, meta.last + 1):
            if number not in files:
                raise Damaged(
                    f"{self._directory.segment(number)} is missing, a segment of the log; "
                    "restore the store from a backup"
                )
        for number in files:
            if number > meta.last:
                raise Damaged(f"{files[number]} is no part of this store; move it away")
        return files

    def _set_aside(self, path: Path, number: int) -> None:
        """A crash while rolling leaves one empty file ahead; one with blocks is not ours."""
        segment = Segment(path, self._spares.map_bytes)
        segment.close()
        if segment.opening or segment.header.store_id != self._state.meta.store_id:
            raise Damaged(f"{path} is no part of this store; move it away")
        self._directory.rename(path, self._directory.spare(number))

    def _load_producers(self, segments: list[Segment]) -> None:
        """The last segment that was written to knows them all."""
        known = [segment for segment in segments if segment.opening]
        if known:
            known[-1].tell_producers(self._table)
        self._writer = Writer(segments[-1], self._table)

    # ---- what is there

    @property
    def active(self) -> Segment:
        return self._view.segments[-1]

    @property
    def start(self) -> int:
        return self._view.bases[0]

    @property
    def end(self) -> int:
        return self.active.end

    @property
    def last_us(self) -> int:
        return self.active.last_us

    @property
    def segments(self) -> list[Segment]:
        return self._view.segments

    @property
    def used(self) -> int:
        return self._view.past_bytes + self.active.used

    @property
    def is_full(self) -> bool:
        """What is under way may not find room any more."""
        whole = (self._max_segments - len(self.segments)) * self._segment_bytes
        free = whole + max(0, self._segment_bytes - self.active.used)
        return free < self._headroom or self.is_disk_full

    @property
    def is_disk_full(self) -> bool:
        """Once the disk was full, until there is room for what may be under way."""
        if self._disk_full:
            self._disk_full = self._has_no_room()
        return self._disk_full

    def _has_no_room(self) -> bool:
        free = engine.free_bytes(self._directory.path)
        return free + self._spares.files * self._segment_bytes < self._headroom

    def topics(self) -> list[TopicState]:
        return joined(segment.topics.states() for segment in self.segments)

    def producers(self) -> list[ProducerState]:
        return self._table.states(self.last_us)

    # ---- writing (one thread at a time)

    def append(self, blocks: Sequence[NewBlock], now_us: int) -> tuple[Row, ...]:
        active = self.active
        is_over = active.commits and active.used + estimate(blocks) > self._segment_bytes
        try:
            if active.sealed or is_over:
                self._roll()
            rows = self._writer.append(blocks, max(now_us, self.last_us))
        except Full:
            self._disk_full = True
            raise
        self._prepare_next()
        return rows

    def _prepare_next(self) -> None:
        number = self.active.header.number + 1
        is_due = self.active.used > self._segment_bytes // 2 and self._asked != number
        if is_due and len(self.segments) < self._max_segments:
            self._asked = number
            self._spares.want(number)

    def _roll(self) -> None:
        if len(self.segments) >= self._max_segments:
            raise Full(f"all {self._max_segments} segments of the log are in use")
        active = self.active
        if not active.sealed:
            self._writer.seal()
        self._go_on(active.end, active.last_us)

    def _go_on(self, end: int, last_us: int) -> None:
        """Put the next segment into service."""
        meta = self._state.meta
        number = meta.last + 1
        segment = self._serving(number, self._spares.take(number))
        segment.begin_at(end, last_us)
        self._writer = Writer(segment, self._table)
        for past in self.segments[-1:]:
            self._spares.later(past.freeze)
        self._show([*self.segments, segment])

    def _serving(self, number: int, path: Path) -> Segment:
        """The file under its name, open, and named by the state: all of it, or none. It is opened
        before the state is told, so that nothing can fail after that; when it is not known whether
        the state took it, the empty file stays, which is right either way."""
        live = self._directory.segment(number)
        segment: Segment | None = None
        try:
            self._directory.rename(path, live)
            segment = Segment(live, self._spares.map_bytes)
            self._state.set_meta(self._state.meta._replace(last=number))
        except BaseException as error:
            if segment is not None:
                segment.close()
            if not isinstance(error, Unknown):
                self._spares.give_back(number, live if live.exists() else path)
            raise
        return segment

    def trim(self, below: int) -> int:
        """Segments that lie wholly below go; the one being written to only when the log is full
        and nothing in it is needed. Raises Postponed."""
        self._drop(below)
        if below >= self.end and self.active.commits and self.is_full:
            self._roll()
            self._drop(below)
        return self.start

    def _drop(self, below: int) -> None:
        kept = list(self.segments)
        while len(kept) > 1 and kept[0].end <= below:
            kept.pop(0)
        retired = self.segments[: len(self.segments) - len(kept)]
        if retired:
            freed = self._freeing()
            try:
                self._writer.open_now()
                meta = self._state.meta
                self._state.set_meta(meta._replace(first=kept[0].header.number))
                self._show(kept)
                self._spares.retire(retired)
            finally:
                self._spares.later(freed)

    def _freeing(self) -> Callable[[], None]:
        try:
            return self._directory.freeing()
        except OSError as error:
            raise engine.refused(error, self._directory.path) from error

    def _show(self, segments: list[Segment]) -> None:
        past_bytes = sum(segment.used for segment in segments[:-1])
        self._view = View([segment.base for segment in segments], segments, past_bytes)

    # ---- reading (any thread)

    def read(self, position: int) -> tuple[Row, bytes]:
        view = self._view
        if not view.bases[0] <= position < view.segments[-1].end:
            raise KeyError(position)
        return view.segments[bisect_right(view.bases, position) - 1].read(position)

    def rows(self, first: int, limit: int) -> tuple[list[Row], int]:
        return self._steadily(lambda view: _rows(view, first, limit))

    def find_time(self, at_us: int) -> int:
        return self._steadily(lambda view: _find_time(view, at_us))

    def _steadily(self, look: Callable[[View], _T]) -> _T:
        """Look again when a segment went out of service meanwhile."""
        while True:
            view = self._view
            try:
                return look(view)
            except KeyError:
                if view is self._view:
                    raise

    # ---- upkeep

    def housekeep(self) -> None:
        for segment in self.segments:
            segment.housekeep()
        self._disk_full = self._has_no_room()

    def close(self) -> None:
        for segment in self.segments:
            segment.close()


def check_header(segment: Segment, number: int, meta: Meta) -> None:
    """A recycled or foreign file under the name of a segment is damage."""
    header = segment.header
    if header.store_id != meta.store_id or header.number != number:
        raise Damaged(
            f"{segment.path} belongs to store {header.store_id.hex()} as segment "
            f"{header.number}; restore the right file from a backup"
        )
    if (header.epoch == meta.epoch) != (number >= meta.epoch_from):
        raise Damaged(
            f"{segment.path} is of epoch {header.epoch}, the store of {meta.epoch}; "
            "restore the right file from a backup"
        )


def check_order(segments: list[Segment]) -> None:
    """The last of these follows the one before it without a gap."""
    last = segments[-1]
    if len(segments) == 1:
        if last.opening is None:
            if last.header.number > 1:
                raise Damaged(f"{last.path} does not say where it begins; restore a backup")
            last.begin_at(1, 0)
        return
    before = segments[-2]
    if last.opening is None:
        last.begin_at(before.end, before.last_us)
    if not before.sealed:
        raise Damaged(f"{before.path} ends before its seal; restore it from a backup")
    if last.base != before.end:
        raise Damaged(
            f"{last.path} begins at position {last.base}, but {before.path} ends at "
            f"{before.end}; restore the missing file from a backup"
        )


def _rows(view: View, first: int, limit: int) -> tuple[list[Row], int]:
    end = view.segments[-1].end
    found: list[Row] = []
    at = max(first, view.bases[0])
    while at < end and len(found) < limit:
        segment = view.segments[bisect_right(view.bases, at) - 1]
        found += segment.rows(at, limit - len(found))
        at = found[-1].last + 1
    return found, max(at, first) if at < end else end


def _find_time(view: View, at_us: int) -> int:
    at = bisect_left(view.segments, at_us, key=lambda segment: segment.last_us)
    return view.segments[min(at, len(view.segments) - 1)].find_time(at_us)
