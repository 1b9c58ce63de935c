"""A reader for asyncio: messages as they stand in the log. Owns the waiting for
them; must never know groups or leases."""

from __future__ import annotations

import math
from types import TracebackType

from layby import _fork
from layby._reading import Reading
from layby._units import Seconds, as_seconds
from layby.aio._io import Bell, Hub
from layby.message import Record


class Reader:
    """Made by `client.read(...)`. An async iterator; takes no work and settles nothing."""

    def __init__(
        self,
        hub: Hub,
        topics: tuple[str, ...],
        start: object,
        until: int | None,
        idle_timeout: Seconds | None = None,
    ) -> None:
        self._hub = hub
        self._io = hub.io
        self._stopped = False
        self._idle_s = math.inf if idle_timeout is None else as_seconds(idle_timeout)
        self._news = Bell(hub.io)
        self._born = _fork.generation
        self._reading = Reading(hub.requests, topics, start, until, self._news.ring)
        self._reading.ask(self._io.clock())
        hub.takers.add(self)
        self._io.wake()

    @property
    def settled(self) -> bool:
        """It has no outcomes."""
        return True

    def __aiter__(self) -> Reader:
        return self

    async def __anext__(self) -> Record:
        _fork.check(self._born)
        reading = self._reading
        deadline = self._io.clock() + self._idle_s
        while True:
            record = None if self._stopped else reading.take()
            if record is not None:
                return record
            if self._stopped or reading.ended:
                raise StopAsyncIteration
            if reading.failure is not None:
                raise reading.failure
            now = self._io.clock()
            if now >= deadline:
                raise StopAsyncIteration
            reading.ask(now)
            self._io.wake()
            await self._news.wait(deadline - now)

    def stop(self) -> None:
        """End the iteration. Safe in a signal handler and from any thread."""
        self._stopped = True
        self._io.call(self._reading.stop)

    async def close(self, timeout: Seconds = 0.0) -> None:
        """Never waits: the broker holds nothing for a reader."""
        self._stopped = True
        self._hub.takers.discard(self)
        self._reading.stop()

    async def __aenter__(self) -> Reader:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
