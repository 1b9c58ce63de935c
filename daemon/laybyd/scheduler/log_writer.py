"""The thread that makes pushes durable: takes all that is queued, one commit, reports.

Owns every append and trim of the log (but for the inline commit the scheduler makes when this
thread has nothing in hand). Must never know delivery rules. The flush is the batching window:
what arrives during one commit is the next.
"""

from __future__ import annotations

import logging
import threading
from queue import Empty
from typing import TYPE_CHECKING, NamedTuple

from laybyd.core.events import Event, NewRows, NotStored, Stored, Trimmed
from laybyd.log import facts
from laybyd.scheduler.appends import Group
from laybyd.scheduler.inbox import Inbox
from laybyd.scheduler.space import SpaceWatch
from laybyd.store.base import Fence, Full, Postponed, Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from laybyd.core.types import Row
    from laybyd.scheduler.appends import Placed

log = logging.getLogger("laybyd.log")

COMMIT_BYTES = 4 << 20
"""A commit takes no further group once it holds this much (performance: gain ends near 1 MiB)."""


POSTPONED_US = 1_000_000
"""A trim that has to wait for the end of a backup is tried again after this."""


class TrimJob(NamedTuple):
    below: int


class ResumeJob(NamedTuple):
    pass


class SpaceJob(NamedTuple):
    """Room has changed, as the scheduler saw at its own commit: say so, in this thread's order."""


class StopJob(NamedTuple):
    pass


OddJob = TrimJob | ResumeJob | SpaceJob
Job = Group | OddJob | StopJob


class Written(NamedTuple):
    """What one commit made of its groups: the events for the core, the bodies for the ring."""

    events: tuple[Event, ...]
    bodies: tuple[tuple[Row, object], ...] = ()
    held: int = 0
    groups: int = 0


class LogWriter:
    """`report` is called on this thread with each Written; `fail` with what must end the daemon."""

    def __init__(
        self,
        store: Store,
        fence: Fence,
        now_us: Callable[[], int],
        report: Callable[[Written], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        self._store = store
        self._fence = fence
        self._now_us = now_us
        self._report = report
        self._fail = fail
        self._jobs: Inbox[Job] = Inbox()
        self._refusing = False
        self._at_work = False
        self._postponed: list[TrimJob] = []
        self._trim_at_us = 0
        self._space = SpaceWatch(store)
        self._thread = threading.Thread(target=self._run, name="layby-log", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, job: Group | TrimJob | ResumeJob) -> None:
        self._jobs.put(job)

    def stop(self) -> None:
        self._jobs.put(StopJob())
        self._thread.join()

    def commit(self, groups: list[Group]) -> Written:
        """Append the groups in one commit. For the scheduler, and only when no group is queued."""
        written = self._append(groups)
        if self._space.differs():
            self._jobs.put(SpaceJob())
        return written

    def _append(self, groups: list[Group]) -> Written:
        placed = [one for group in groups for one in group.placed]
        held = sum(group.held for group in groups)
        try:
            rows = self._store.append(
                self._fence, [one.block for one in placed], self._now_us()
            ).rows
        except Full as full:
            self._refusing = True
            return self._refused(groups, "store_full", str(full))
        events = (NewRows(rows), _stored(placed, rows))
        return Written(events, _bodies(placed, rows), held, len(groups))

    def _refused(self, groups: list[Group], code: str, text: str) -> Written:
        pushes = tuple(push for group in groups for push in group.pushes)
        held = sum(group.held for group in groups)
        return Written((NotStored(pushes, code, text),), (), held, len(groups))

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        except BaseException as error:
            log.exception("the log writer stopped")
            self._fail(error)

    def _next_job(self) -> Job:
        """What is queued; trims that were put off come back after a while."""
        while not self._postponed or self._trim_at_us > self._now_us():
            try:
                return self._jobs.get(self._patience_s())
            except Empty:
                self._say_space()
        return self._postponed.pop()

    def _patience_s(self) -> float | None:
        waits_s = [] if self._space.patience_s is None else [self._space.patience_s]
        if self._postponed:
            waits_s.append(max(0, self._trim_at_us - self._now_us()) / 1e6)
        return min(waits_s, default=None)

    def _say_space(self) -> None:
        if news := self._space.news():
            self._report(Written(news))

    @property
    def is_idle(self) -> bool:
        """Whether nobody would wait for a trim. From any thread."""
        return not (self._jobs or self._at_work)

    def _turn(self) -> bool:
        job = self._next_job()
        self._at_work = True
        goes_on = self._work(job)
        self._at_work = False
        return goes_on

    def _work(self, job: Job) -> bool:
        groups: list[Group] = []
        size = 0
        while True:
            if isinstance(job, StopJob):
                self._commit_all(groups)
                return False
            if isinstance(job, OddJob):
                self._commit_all(groups)
                self._odd_job(job)
                return True
            groups.append(job)
            size += job.size
            if size >= COMMIT_BYTES:
                break
            try:
                job = self._jobs.get(0)
            except Empty:
                break
        self._commit_all(groups)
        return True

    def _commit_all(self, groups: list[Group]) -> None:
        if not groups:
            return
        if self._refusing:
            written = self._refused(groups, "store_full", "an earlier push was refused")
        else:
            written = self._append(groups)
        self._report(written._replace(events=(*written.events, *self._space.news())))

    def _odd_job(self, job: OddJob) -> None:
        if isinstance(job, ResumeJob):
            self._refusing = False
        elif isinstance(job, SpaceJob):
            self._say_space()
        else:
            self._trim(job)

    def _trim(self, job: TrimJob) -> None:
        try:
            start = self._store.trim(self._fence, job.below)
        except Postponed as busy:
            log.info("nothing is freed for now: %s", busy, extra=facts("trim_postponed"))
            self._postponed.append(job)
            self._trim_at_us = self._now_us() + POSTPONED_US
            return
        except Full as full:
            log.error("the log could not be trimmed: %s", full, extra=facts("trim_failed"))
            start = self._store.facts().start
        events: tuple[Event, ...] = (
            Trimmed(start, tuple(self._store.topics())),
            *self._space.news(),
        )
        self._report(Written(events))


def _stored(placed: list[Placed], rows: tuple[Row, ...]) -> Stored:
    pairs = [pair for one, row in zip(placed, rows, strict=True) for pair in one.stored(row)]
    return Stored(tuple(pairs))


def _bodies(placed: list[Placed], rows: tuple[Row, ...]) -> tuple[tuple[Row, object], ...]:
    return tuple((row, one.body) for one, row in zip(placed, rows, strict=True))
