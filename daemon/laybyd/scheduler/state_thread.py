"""The thread that keeps delivery state durable, and reads it back in step.

Owns every commit and read of the state store. Must never know delivery rules. Jobs are done
strictly in order: commits that stand together in the queue become one, and a read sees all that
was committed before it and nothing that comes after.
"""

from __future__ import annotations

import logging
import threading
from queue import Empty
from typing import TYPE_CHECKING

from laybyd.core.effects import Commit, FindParked, LoadDue, Park, StateOp
from laybyd.core.events import Committed, DueLoaded, Event, ParkedFound
from laybyd.core.types import LIVE
from laybyd.log import facts
from laybyd.scheduler.bodies import Bodies, DamagedBody, buffer_of
from laybyd.scheduler.delivery import Assembled, assemble
from laybyd.scheduler.inbox import Inbox
from laybyd.scheduler.reader import AssembleJob
from laybyd.scheduler.space import SpaceWatch
from laybyd.store import records
from laybyd.store.base import Full

if TYPE_CHECKING:
    from collections.abc import Callable

    from laybyd.store.base import Fence, Put, Store

log = logging.getLogger("laybyd.state")

FULL_RETRY_S = 1.0

Job = Commit | LoadDue | FindParked | AssembleJob


class StateThread:
    """`report` is called on this thread with each result; `fail` with what must end the daemon."""

    def __init__(
        self,
        store: Store,
        fence: Fence,
        bodies: Bodies,
        report: Callable[[Assembled], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        self._store = store
        self._fence = fence
        self._bodies = bodies
        self._report = report
        self._fail = fail
        self._space = SpaceWatch(store)
        self._stopping = threading.Event()
        self._jobs: Inbox[Job | None] = Inbox()
        self._thread = threading.Thread(target=self._run, name="layby-state", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, job: Job) -> None:
        self._jobs.put(job)

    def stop(self) -> None:
        self._stopping.set()
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        except BaseException as error:
            log.exception("the state thread stopped")
            self._fail(error)

    def _turn(self) -> bool:
        commits: list[Commit] = []
        job = self._next_job()
        while isinstance(job, Commit):
            commits.append(job)
            try:
                job = self._jobs.get(0)
            except Empty:
                self._commit(commits)
                return True
        self._commit(commits)
        if job is not None:
            self._report(self._read(job))
        return job is not None

    def _next_job(self) -> Job | None:
        while True:
            try:
                return self._jobs.get(self._space.patience_s)
            except Empty:
                if news := self._space.news():
                    self._report(Assembled(None, news))

    def _commit(self, commits: list[Commit]) -> None:
        """One durable step, or two when a record's bytes come from one that is still to be
        written: bytes are read from what is committed."""
        run: list[Commit] = []
        for commit in commits:
            if run and any(_reads_parked(op) for op in commit.ops):
                self._commit_run(run)
                run = []
            run.append(commit)
        if run:
            self._commit_run(run)

    def _commit_run(self, commits: list[Commit]) -> None:
        ops = [op for commit in commits for op in commit.ops]
        self._commit_puts(records.encode(ops, self._body_of))
        events: list[Event] = [Committed(commit.token) for commit in commits]
        self._report(Assembled(None, (*events, *self._space.news())))

    def _commit_puts(self, puts: list[Put]) -> None:
        """A disk without any room, the reserve spent as well, is waited for: nothing that was
        settled is confirmed meanwhile, and nothing is lost."""
        while True:
            try:
                self._store.commit_state(self._fence, puts)
                return
            except Full as full:
                text = "settles wait: the disk has no room for the delivery state (%s); free some"
                log.error(text, full, extra=facts("state_waits"))
                if self._stopping.wait(FULL_RETRY_S):
                    raise

    def _body_of(self, park: Park) -> bytes | None:
        """The bytes of a record that moves to the state store; None when they are damaged."""
        try:
            body, kept = self._bodies.packed(park.record.gid, park.body, {})
        except DamagedBody as damage:
            log.error("%s; it is kept as a record without bytes", damage)
            return None
        assert kept == len(park.body), "the core parks only what fits one block"
        return bytes(buffer_of(body))

    def _read(self, job: LoadDue | FindParked | AssembleJob) -> Assembled:
        if isinstance(job, AssembleJob):
            return assemble(self._bodies, job.gid, job.effect, job.hits)
        if isinstance(job, LoadDue):
            found, more = records.load_due(self._store, job.gid, job.after, job.limit)
            return Assembled(None, (DueLoaded(job.group, tuple(found), more),))
        found, more = records.find_parked(
            self._store, job.gid, job.lane, job.ranges, job.after, job.limit
        )
        return Assembled(None, (ParkedFound(job.token, tuple(found), more),))


def _reads_parked(op: StateOp) -> bool:
    return isinstance(op, Park) and any(piece.lane != LIVE for piece in op.body)
