"""A reader: messages as they stand in the log, for looking and replay. Owns the waiting for them.

Must never know frames or sockets.
"""

from __future__ import annotations

import math
import threading
from types import TracebackType

from layby import _fork
from layby._hub import Hub
from layby._reading import Reading
from layby._units import Seconds, as_seconds
from layby.message import Record


class Reader:
    """Made by `client.read(...)`. An iterator; takes no work and settles nothing."""

    def __init__(
        self,
        hub: Hub,
        topics: tuple[str, ...],
        start: object,
        until: int | None,
        idle_timeout: Seconds | None = None,
    ) -> None:
        self._hub = hub
        self._io = io = hub.io
        self._stopped = False
        self._idle_s = math.inf if idle_timeout is None else as_seconds(idle_timeout)
        self._cond = threading.Condition(io.lock)
        self._born = _fork.generation
        with io.lock:
            self._reading = Reading(hub.requests, topics, start, until, self._cond.notify_all)
            self._reading.ask(io.clock())
        hub.takers.add(self)
        io.wake()

    def __iter__(self) -> Reader:
        return self

    def __next__(self) -> Record:
        if self._born != _fork.generation:
            _fork.check(self._born)
        self._io.may_wait()
        with self._cond:
            record = None if self._stopped else self._reading.take()
            if record is None:
                record = self._wait()
        return record

    def _wait(self) -> Record:
        reading = self._reading
        deadline = self._io.clock() + self._idle_s
        while True:
            if self._stopped or reading.ended:
                raise StopIteration
            record = reading.take()
            if record is not None:
                return record
            if reading.failure is not None:
                raise reading.failure
            now = self._io.clock()
            if now >= deadline:
                raise StopIteration
            reading.ask(now)
            self._io.wake()
            self._cond.wait(None if deadline == math.inf else deadline - now)

    def stop(self) -> None:
        """End the iteration. Safe in a signal handler and from any thread."""
        self._stopped = True
        self._io.call(self._reading.stop)

    def close(self, timeout: Seconds = 0.0) -> None:
        """Never waits: the broker holds nothing for a reader."""
        self._stopped = True
        self._hub.takers.discard(self)
        with self._cond:
            self._reading.stop()

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
