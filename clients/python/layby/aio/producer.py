"""A producer for asyncio: many messages, few blocks. Owns the open block, the wait for room and
what failed. Must never know sequences, sockets or frames."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterable, Mapping
from functools import partial
from types import TracebackType

from layby import _fork
from layby._batcher import BLOCK_BYTES, Batcher, Cut
from layby._pusher import Pusher
from layby._sequence import Push
from layby._units import Data, Seconds, When, as_deadline, as_seconds
from layby.aio._io import Bell, Hub
from layby.errors import Closed, FailedBlock, LaybyError, PushFailed, TimedOut
from layby.producer import LINGER_S

log = logging.getLogger("layby")


class Producer:
    """Made by `client.producer(topic)`; leaving `async with` flushes."""

    def __init__(
        self,
        hub: Hub,
        topic: str,
        *,
        block_bytes: int = BLOCK_BYTES,
        linger: Seconds = LINGER_S,
        timeout: Seconds = 30.0,
    ) -> None:
        self.topic = topic
        self._hub = hub
        self._io = hub.io
        self._timeout_s = as_seconds(timeout)
        self._linger_s = as_seconds(linger)
        self._mutex = asyncio.Lock()
        self._news = Bell(hub.io)
        self._batcher = Batcher(hub.limits, block_bytes)
        self._open: asyncio.Future[int] | None = None
        self._due = math.inf
        self._failed: list[FailedBlock] = []
        self._pending: set[Push] = set()
        self._flushing = 0
        self._closed = False
        self._failure: LaybyError | None = None
        self._born = _fork.generation
        self._pusher = Pusher(hub.link, hub.limits)
        hub.io.chores.add(self)
        hub.givers.add(self)

    # ---- sending

    async def send(
        self,
        data: Data,
        *,
        key: Data | None = None,
        headers: Mapping[str, str] | None = None,
        timestamp: When | None = None,
    ) -> asyncio.Future[int]:
        """Waits for room only. The future is that of the whole block: the position of its first
        message, once it is durable."""
        _fork.check(self._born)
        async with self._mutex:
            await self._room()
            for cut in self._batcher.add(data, key, headers, timestamp):
                self._push(cut)
            future = self._future()
            if self._batcher.full:
                self._push_open()
            else:
                self._linger()
        return future

    async def send_many(self, messages: Iterable[Data]) -> list[asyncio.Future[int]]:
        """Many messages without keys; the futures of the blocks that hold them."""
        _fork.check(self._born)
        futures: list[asyncio.Future[int]] = []
        async with self._mutex:
            await self._room()
            try:
                for cut in self._batcher.add_many(messages):
                    futures.append(self._push(cut))
                    await self._room()
            finally:  # also what came before a message that is none
                if self._batcher.messages:
                    futures.append(self._future())
                    self._linger()
        return futures

    async def _room(self) -> None:
        while self._over is None and not self._pusher.has_room:
            await self._news.wait()
        over = self._over
        if over is not None:
            raise over

    @property
    def _over(self) -> LaybyError | None:
        """Why nothing is taken any more."""
        if self._closed:
            return Closed("the producer is closed")
        return self._failure or self._hub.link.failure

    def _future(self) -> asyncio.Future[int]:
        if self._open is None:
            self._open = self._io.loop.create_future()
        return self._open

    def _linger(self) -> None:
        if self._due == math.inf:
            now = self._io.clock()
            self._due = now + self._linger_s if self._pending else now
            self._io.wake()

    def _push_open(self) -> None:
        cut = self._batcher.close()
        if cut is not None:
            self._push(cut)

    def _push(self, cut: Cut) -> asyncio.Future[int]:
        """Takes the open future: the block that leaves is the one it belongs to."""
        future, self._open = self._future(), None
        self._due = math.inf
        over = cut.error or self._over
        if over is not None:
            lost = Push(self.topic, cut.block, cut.messages, len(cut.block), 0.0, _unset)
            self._failed.append(FailedBlock(lost, over))
            set_result(future, over)
            return future
        deadline = self._io.clock() + self._timeout_s
        push = self._pusher.add(
            self.topic, cut.block, cut.messages, len(cut.block), deadline, _unset
        )
        push.done = partial(self._done, push, future)
        self._pending.add(push)
        self._io.wake()
        return future

    def _done(self, push: Push, future: asyncio.Future[int], result: int | LaybyError) -> None:
        self._pending.discard(push)
        if isinstance(result, LaybyError):
            self._failed.append(FailedBlock(push, result))
        if self._flushing or 2 * self._pusher.size <= self._pusher.limits.bytes:
            self._news.ring()
        set_result(future, result)
        if not self._pending and self._due != math.inf:
            self._due = 0.0

    # ---- a chore of the loop

    def due_at(self) -> float:
        return self._due

    def run(self, now: float) -> None:
        """The open block has waited long enough. Without an await nobody is half-way through
        adding to it."""
        self._due = math.inf  # nothing may be open: then nobody else would say so
        self._push_open()

    def fail(self, error: LaybyError) -> None:
        """What is not sent never will be; nothing more is taken."""
        self._failure = error
        self._push_open()
        self._news.ring()

    # ---- the end

    async def flush(self, timeout: Seconds | None = None) -> None:
        """Returns when everything sent so far is durable; raises PushFailed, or TimedOut."""
        _fork.check(self._born)
        deadline = as_deadline(timeout, self._io.clock())
        await self._close_open(deadline)
        self._flushing += 1
        try:
            await self._wait_for(set(self._pending), deadline)
        finally:
            self._flushing -= 1
        failed, self._failed = self._failed, []
        if failed:
            raise PushFailed(failed)

    async def _close_open(self, deadline: float) -> None:
        """Whoever waits for room in `send` has the mutex meanwhile, however long that takes."""
        left = deadline - self._io.clock()
        try:
            async with asyncio.timeout(None if left == math.inf else left), self._mutex:
                self._push_open()
        except TimeoutError:
            text = "another task still waits for room; its messages are not confirmed"
            raise TimedOut(text) from None

    async def _wait_for(self, pushes: set[Push], deadline: float) -> None:
        while not pushes.isdisjoint(self._pending):
            left = deadline - self._io.clock()
            if left <= 0:
                raise TimedOut(f"{len(pushes & self._pending)} blocks are not confirmed yet")
            await self._news.wait(left)

    @property
    def unconfirmed(self) -> int:
        """Messages that are not known to be durable."""
        return self._pusher.messages + self._batcher.messages

    async def close(self, timeout: Seconds | None = None) -> None:
        """Flush, then give up what is not confirmed (after `timeout`, if any)."""
        if self._closed:
            return
        try:
            await self.flush(timeout)
        finally:
            self._closed = True
            self._io.chores.drop(self)
            self._hub.givers.discard(self)
            self._pusher.close()
            self._push_open()
            self._news.ring()
            self._io.wake()

    async def __aenter__(self) -> Producer:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            await self.close()
            return
        try:
            await self.close()
        except LaybyError as failed:
            log.error("leaving the producer of %s: %s", self.topic, failed)


def set_result(future: asyncio.Future[int], result: object) -> None:
    """An error nobody asks this future for is told by flush; so it is never *unretrieved*."""
    if future.done():
        return
    if isinstance(result, BaseException):
        future.set_exception(result)
        future.exception()
    else:
        future.set_result(result)  # type: ignore[arg-type]


def _unset(result: int | LaybyError) -> None:
    """Replaced before anything can come."""
