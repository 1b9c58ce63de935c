"""The broker's log writer as a simulated thread: appends in order, fails, trims.

Owns what is queued for the log. Behaves as the real one: a turn's pushes are one group and one
commit takes whole groups; behind a failed one everything is refused until ResumeAppends.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from laybyd.core.effects import ResumeAppends, Trim
from laybyd.core.events import Event, NewRows, NotStored, Push, Space, Stored, Trimmed
from laybyd.core.types import Row
from laybyd.store.base import Fence, Full, NewBlock, ProducerRow
from laybyd.store.memory import MemoryStore
from tests.simulation import bodies
from tests.simulation.worker import Worker


class Placed(NamedTuple):
    """A block to append, and each push in it with the place of its first message."""

    block: NewBlock
    pushes: tuple[tuple[Push, int], ...]


Group = tuple[Push, ...]
Job = Group | ResumeAppends | Trim


class LogSide:
    def __init__(self, store: MemoryStore, fence: Fence, worker: Worker) -> None:
        self._store = store
        self._fence = fence
        self._worker = worker
        self._jobs: deque[Job] = deque()
        self._busy = False
        self._refusing = False
        self._space = Space(False, False, 0, 0)

    def put(self, job: Job) -> None:
        self._jobs.append(job)
        if not self._busy:
            self._busy = True
            self._worker.soon(self._turn)

    def look(self) -> None:
        """Whether there is room has changed from outside."""
        self._worker.report(self._news())

    def dying(self) -> int:
        """What was being written when the process died, each group as a commit of its own, for a
        commit holds whole groups only; gives how many."""
        groups = [] if self._refusing else self._take_groups()
        for number, group in enumerate(groups):
            blocks = [one.block for one in _place(group)]
            try:
                self._store.append(self._fence, blocks, self._worker.now)
            except Full:
                return number
        return len(groups)

    def _take_groups(self) -> list[Group]:
        groups: list[Group] = []
        while self._jobs and isinstance(self._jobs[0], tuple) and not _is_odd(self._jobs[0]):
            groups.append(self._jobs.popleft())  # type: ignore[arg-type]
        return groups

    def _turn(self) -> None:
        groups = self._take_groups()
        events = self._commit(groups) if groups else self._odd_job(self._jobs.popleft())
        self._worker.report([*events, *self._news()])
        self._busy = bool(self._jobs)
        if self._busy:
            self._worker.soon(self._turn)

    def _odd_job(self, job: Job) -> list[Event]:
        if isinstance(job, Trim):
            start = self._store.trim(self._fence, job.below)
            return [Trimmed(start, tuple(self._store.topics()))]
        self._refusing = False
        return []

    def _commit(self, groups: list[Group]) -> list[Event]:
        pushes = [push for group in groups for push in group]
        if self._refusing:
            return [NotStored(tuple(pushes), "store_full", "an earlier push was refused")]
        placed = [one for group in groups for one in _place(group)]
        try:
            rows = self._store.append(
                self._fence, [one.block for one in placed], self._worker.now
            ).rows
        except Full as full:
            self._refusing = True
            return [NotStored(tuple(pushes), "store_full", str(full))]
        return [NewRows(rows), _stored(placed, rows)]

    def _news(self) -> list[Event]:
        room = self._store.room()
        space = Space(room.log_full, room.state_full, 0, 0)
        if space == self._space:
            return []
        self._space = space
        return [space._replace(used=room.used, limit=room.limit)]


def _is_odd(job: Job) -> bool:
    return isinstance(job, ResumeAppends | Trim)


def _place(group: Group) -> list[Placed]:
    """Blocks as they came; lone messages of one topic gathered into one, up to its next block."""
    placed: list[Placed] = []
    lone: dict[str, list[Push]] = {}
    for push in group:
        if push.packed:
            if push.topic in lone:
                placed.append(_block(push.topic, lone.pop(push.topic)))
            placed.append(_block(push.topic, [push]))
        else:
            lone.setdefault(push.topic, []).append(push)
    return placed + [_block(topic, pushes) for topic, pushes in lone.items()]


def _block(topic: str, pushes: list[Push]) -> Placed:
    messages, parts, places, producers = 0, [], [], []
    for push in pushes:
        places.append((push, messages))
        parts.extend(bodies.read(push.body))  # type: ignore[arg-type]
        if push.producer is not None and push.seq is not None:
            producers.append(ProducerRow(push.producer, push.seq, messages, push.crc))
        messages += push.messages
    block = NewBlock(topic, messages, bodies.write(parts), tuple(producers))
    return Placed(block, tuple(places))


def _stored(placed: list[Placed], rows: tuple[Row, ...]) -> Stored:
    return Stored(
        tuple(
            (push, row.first + offset)
            for one, row in zip(placed, rows, strict=True)
            for push, offset in one.pushes
        )
    )
