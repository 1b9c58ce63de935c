"""The broker's state thread as a simulated thread: commits and reads, strictly in order.

Owns what is queued for the state store, and the reading of bytes to hand out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from laybyd.core.effects import Commit, Deliver, FindParked, LoadDue, Park
from laybyd.core.events import Committed, DueLoaded, ParkedFound
from laybyd.core.types import LIVE, Piece
from laybyd.store import records
from laybyd.store.base import Fence
from laybyd.store.memory import MemoryStore
from tests.simulation import bodies
from tests.simulation.worker import Worker

READ_SHARE = 0.05
"""Of the time of a commit."""


class Assemble(NamedTuple):
    """A Deliver whose bytes are wanted."""

    effect: Deliver
    gid: int


Job = Commit | LoadDue | FindParked | Assemble


class DamagedBlock(Exception):
    def __init__(self, first: int, last: int) -> None:
        super().__init__(f"{first}..{last}")
        self.first = first
        self.last = last


class Damage(NamedTuple):
    """First positions of blocks whose bytes are bad, and what was parked without bytes for it."""

    blocks: set[int]
    parked: set[tuple[int, int]]


class Bytes:
    """Reads pieces."""

    def __init__(self, store: MemoryStore, damage: Damage) -> None:
        self._store = store
        self._damage = damage

    def cut(self, gid: int, pieces: tuple[Piece, ...]) -> bytes:
        return b"".join(self._piece(gid, piece) for piece in pieces)

    def values(self, gid: int, pieces: tuple[Piece, ...]) -> tuple[int, ...]:
        return tuple(bodies.read(self.cut(gid, pieces)))

    def _piece(self, gid: int, piece: Piece) -> bytes:
        body = self._logged(piece) if piece.lane == LIVE else self._parked(gid, piece)
        cut = bodies.cut(body, piece.first - piece.block, piece.last - piece.block + 1)
        assert len(cut) == (piece.last - piece.first + 1) * bodies.WIDTH, (
            f"{piece} lies outside its block"
        )
        return cut

    def _logged(self, piece: Piece) -> bytes:
        row, body = self._store.read(piece.first)
        assert row.first == piece.block, f"{piece} is not in the block at {row.first}"
        if row.first in self._damage.blocks:
            raise DamagedBlock(row.first, row.last)
        return body

    def note_buried(self, ops: Iterable[Any]) -> None:
        """What is dead for its damage has no bytes either, and an operator may open it again."""
        for op in ops:
            is_new = isinstance(op, Park) and not op.body and op.old is None
            if is_new and any(line.reason == "damaged" for line in op.record.history[-1:]):
                self._damage.parked.add((op.record.gid, op.record.block))

    def to_park(self, park: Park) -> bytes | None:
        """None when they are damaged: the record is kept without bytes."""
        try:
            return self.cut(park.record.gid, park.body)
        except DamagedBlock:
            self._damage.parked.add((park.record.gid, park.record.block))
            return None

    def _parked(self, gid: int, piece: Piece) -> bytes:
        if (gid, piece.block) in self._damage.parked:
            raise DamagedBlock(piece.first, piece.last)
        return records.parked_body(self._store, gid, piece.block)


class StateSide:
    """`assembled` is called with a Deliver whose bytes can be read now."""

    def __init__(
        self,
        store: MemoryStore,
        fence: Fence,
        bytes_: Bytes,
        worker: Worker,
        assembled: Callable[[Assemble], None],
    ) -> None:
        self._store = store
        self._fence = fence
        self._bytes = bytes_
        self._worker = worker
        self._assembled = assembled
        self._jobs: deque[Any] = deque()
        self._busy = False

    def put(self, job: Job) -> None:
        self._jobs.append(job)
        if not self._busy:
            self._next()

    def _next(self) -> None:
        """A commit waits for the disk, a read does not."""
        self._busy = bool(self._jobs)
        if self._busy:
            share = 1.0 if isinstance(self._jobs[0], Commit) else READ_SHARE
            self._worker.soon(self._turn, share=share)

    def dying(self) -> int:
        """What was being committed when the process died; gives how many commits it is."""
        commits = self._take_commits()
        if commits:
            self._commit(commits)
        return min(1, len(commits))

    def _take_commits(self) -> list[Commit]:
        commits: list[Commit] = []
        while self._jobs and isinstance(self._jobs[0], Commit):
            if commits and _cuts_parked(self._jobs[0]):
                break
            commits.append(self._jobs.popleft())
        return commits

    def _turn(self) -> None:
        commits = self._take_commits()
        if commits:
            self._commit(commits)
            self._worker.report([Committed(commit.token) for commit in commits])
        else:
            self._read(self._jobs.popleft())
        self._next()

    def _commit(self, commits: list[Commit]) -> None:
        ops = [op for commit in commits for op in commit.ops]
        self._bytes.note_buried(ops)
        self._store.commit_state(self._fence, records.encode(ops, self._bytes.to_park))

    def _read(self, job: Any) -> None:
        if isinstance(job, Assemble):
            self._assembled(job)
        elif isinstance(job, LoadDue):
            found, more = records.load_due(self._store, job.gid, job.after, job.limit)
            self._worker.report([DueLoaded(job.group, tuple(found), more)])
        else:
            found, more = records.find_parked(
                self._store, job.gid, job.lane, job.ranges, job.after, job.limit
            )
            self._worker.report([ParkedFound(job.token, tuple(found), more)])


def _cuts_parked(commit: Commit) -> bool:
    """It reads bytes that a commit before it may put: the two cannot be one."""
    parks = (op for op in commit.ops if isinstance(op, Park))
    return any(piece.lane != LIVE for park in parks for piece in park.body)
