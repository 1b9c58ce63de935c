"""The thread that reads the log, so that neither loop ever waits for a disk page.

Owns the queue of reads. Must never know delivery rules, nor the delivery states (the state
thread reads those, in step with its commits).
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, NamedTuple

from laybyd.core.effects import Deliver, FindTime, LoadRows, ReadOut, Reply
from laybyd.core.events import PositionFound, RowsLoaded
from laybyd.scheduler.delivery import Assembled, assemble
from laybyd.scheduler.inbox import Inbox

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from laybyd.scheduler.bodies import Bodies
    from laybyd.store.base import Store

log = logging.getLogger("laybyd.reader")


class AssembleJob(NamedTuple):
    effect: Deliver | ReadOut | Reply
    gid: int
    hits: Mapping[int, object]


class Reader:
    """`report` is called on this thread with each result; `fail` with what must end the daemon."""

    def __init__(
        self,
        store: Store,
        bodies: Bodies,
        report: Callable[[Assembled], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        self._store = store
        self._bodies = bodies
        self._report = report
        self._fail = fail
        self._jobs: Inbox[AssembleJob | LoadRows | FindTime | None] = Inbox()
        self._thread = threading.Thread(target=self._run, name="layby-read", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, job: AssembleJob | LoadRows | FindTime) -> None:
        self._jobs.put(job)

    def stop(self) -> None:
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            while (job := self._jobs.get()) is not None:
                self._report(self._done(job))
        except BaseException as error:
            log.exception("the log reader stopped")
            self._fail(error)

    def _done(self, job: AssembleJob | LoadRows | FindTime) -> Assembled:
        if isinstance(job, AssembleJob):
            return assemble(self._bodies, job.gid, job.effect, job.hits)
        if isinstance(job, LoadRows):
            rows, upto = self._store.rows(job.first, job.limit)
            return Assembled(None, (RowsLoaded(job.who, job.first, tuple(rows), upto),))
        return Assembled(None, (PositionFound(job.who, self._store.find_time(job.at_us)),))
