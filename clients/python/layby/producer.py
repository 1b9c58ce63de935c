"""A producer: many messages, few blocks. Owns the open block, the wait for room and what failed.

Must never know sequences, sockets or frames. The first message after a pause leaves at once; what
comes while blocks are under way is gathered until a block is full or `linger` has passed.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from functools import partial
from types import TracebackType

from layby import _fork
from layby._batcher import BLOCK_BYTES, Batcher, Cut
from layby._hub import Hub
from layby._pusher import Pusher
from layby._sequence import Push
from layby._units import Data, Seconds, When, as_deadline, as_seconds
from layby.errors import Closed, FailedBlock, LaybyError, PushFailed, TimedOut

log = logging.getLogger("layby")

LINGER_S = 0.005


class Producer:
    """Made by `client.producer(topic)`. Thread-safe; leaving `with` flushes."""

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
        self._link = hub.link
        self._timeout_s = as_seconds(timeout)
        self._linger_s = as_seconds(linger)
        self._mutex = threading.Lock()
        self._news = threading.Condition(hub.io.lock)
        self._batcher = Batcher(hub.limits, block_bytes)
        self._open: Future[int] | None = None
        self._due = math.inf
        self._failed: list[FailedBlock] = []
        self._pending: set[Push] = set()
        self._flushing = 0
        self._held = 0
        self._closed = False
        self._ended = False
        self._failure: LaybyError | None = None
        self._born = _fork.generation
        with self._io.lock:
            self._pusher = Pusher(hub.link, hub.limits)
        hub.io.chores.add(self)
        hub.givers.add(self)
        if hub.link.failure is not None:  # too late to be told as a chore
            self._ended = True

    # ---- sending

    def send(
        self,
        data: Data,
        *,
        key: Data | None = None,
        headers: Mapping[str, str] | None = None,
        timestamp: When | None = None,
    ) -> Future[int]:
        """Waits for room only. The future is that of the whole block: the position of its first
        message, once it is durable."""
        self._check_call()
        try:
            with self._mutex:
                self._check_open()
                for cut in self._batcher.add(data, key, headers, timestamp):
                    self._push(cut)
                    self._check_open()
                future = self._future()
                if self._batcher.full:
                    self._push_open()
                else:
                    self._linger()
        finally:
            if self._ended:
                self._bury()
        return future

    def send_many(self, messages: Iterable[Data]) -> list[Future[int]]:
        """Many messages without keys; the futures of the blocks that hold them."""
        self._check_call()
        futures: list[Future[int]] = []
        try:
            with self._mutex:
                self._check_open()
                try:
                    for cut in self._batcher.add_many(messages):
                        futures.append(self._push(cut))
                        self._check_open()
                finally:  # also what came before a message that is none
                    if self._batcher.messages:
                        futures.append(self._future())
                        self._linger()
        finally:
            if self._ended:
                self._bury()
        return futures

    def _check_call(self) -> None:
        _fork.check(self._born)
        self._io.may_wait()

    def _check_open(self) -> None:
        if self._ended:
            raise self._over or Closed

    @property
    def _over(self) -> LaybyError | None:
        """Why nothing is taken any more."""
        if self._closed:
            return Closed("the producer is closed")
        return self._failure or self._link.failure

    def _future(self) -> Future[int]:
        if self._open is None:
            self._open = Future()
        return self._open

    def _linger(self) -> None:
        """Have the I/O thread take the open block, at once when nothing is under way."""
        if self._due == math.inf:
            now = self._io.clock()
            self._due = now + self._linger_s if self._pending else now
            self._io.wake()

    def _push_open(self, wait: bool = True) -> None:
        cut = self._batcher.close()
        if cut is not None:
            self._push(cut, wait)

    def _push(self, cut: Cut, wait: bool = True) -> Future[int]:
        """Takes the open future: the block that leaves is the one it belongs to. Whoever is
        interrupted while there is no room does not lose the block."""
        future, self._open = self._future(), None
        self._due = math.inf
        with self._news:
            self._held = cut.messages
            try:
                while wait and not self._pusher.has_room and self._over is None:
                    self._news.wait()
            finally:
                self._held = 0
                self._add(cut, future)
        self._io.wake()
        return future

    def _add(self, cut: Cut, future: Future[int]) -> None:
        over = cut.error or self._over
        if over is not None:
            lost = Push(self.topic, cut.block, cut.messages, len(cut.block), 0.0, _unset)
            self._failed.append(FailedBlock(lost, over))
            self._link.after.append(partial(_resolve, future, over))
            return
        deadline = self._io.clock() + self._timeout_s
        push = self._pusher.add(
            self.topic, cut.block, cut.messages, len(cut.block), deadline, _unset
        )
        push.done = partial(self._done, push, future)
        self._pending.add(push)

    def _done(self, push: Push, future: Future[int], result: int | LaybyError) -> None:
        """In the I/O thread, under the lock."""
        self._pending.discard(push)
        if isinstance(result, LaybyError):
            self._failed.append(FailedBlock(push, result))
        if self._flushing or 2 * self._pusher.size <= self._pusher.limits.bytes:
            self._news.notify_all()
        self._link.after.append(partial(_resolve, future, result))
        if not self._pending and self._due != math.inf:
            self._due = 0.0

    # ---- a chore of the I/O thread

    def due_at(self) -> float:
        return self._due

    def run(self, now: float) -> None:
        """The open block has waited long enough."""
        if not self._mutex.acquire(blocking=False):
            self._due = now + min(self._linger_s, LINGER_S)  # somebody is adding to it just now
            return
        try:
            self._due = math.inf  # nothing may be open: then nobody else would say so
            self._push_open(wait=False)
        finally:
            self._mutex.release()

    def fail(self, error: LaybyError) -> None:
        """What is not sent never will be; nothing more is taken."""
        self._failure = error
        self._ended = True
        self._bury()

    def _bury(self) -> None:
        """Nobody takes the open block any more: whoever waits for it is told. Whoever has the
        mutex just now comes by here when it is free."""
        if self._mutex.acquire(blocking=False):
            try:
                self._push_open(wait=False)
            finally:
                self._mutex.release()
        self._link.run_after()

    # ---- the end

    def flush(self, timeout: Seconds | None = None) -> None:
        """Returns when everything sent so far is durable; raises PushFailed, or TimedOut."""
        self._check_call()
        deadline = as_deadline(timeout, self._io.clock())
        self._close_open(deadline)
        if self._ended:
            self._bury()
        with self._news:
            self._flushing += 1
            try:
                self._wait_for(set(self._pending), deadline)
            finally:
                self._flushing -= 1
            failed, self._failed = self._failed, []
        if failed:
            raise PushFailed(failed)

    def _close_open(self, deadline: float) -> None:
        """Whoever waits for room in `send` has the mutex meanwhile, however long that takes."""
        left = deadline - self._io.clock()
        if left == math.inf:
            self._mutex.acquire()
        elif not self._mutex.acquire(timeout=max(0.0, left)):
            raise TimedOut("another thread still waits for room; its messages are not confirmed")
        try:
            self._push_open(wait=False)
        finally:
            self._mutex.release()

    def _wait_for(self, pushes: set[Push], deadline: float) -> None:
        while not pushes.isdisjoint(self._pending):
            left = deadline - self._io.clock()
            if left <= 0:
                raise TimedOut(f"{len(pushes & self._pending)} blocks are not confirmed yet")
            self._news.wait(None if left == math.inf else left)

    @property
    def unconfirmed(self) -> int:
        """Messages that are not known to be durable."""
        with self._io.lock:
            return self._pusher.messages + self._batcher.messages + self._held

    def close(self, timeout: Seconds | None = None) -> None:
        """Flush, then give up what is not confirmed (after `timeout`, if any)."""
        if self._closed:
            return
        try:
            self.flush(timeout)
        finally:
            self._closed = self._ended = True
            self._io.chores.drop(self)
            self._hub.givers.discard(self)
            with self._news:
                self._pusher.close()
                self._news.notify_all()
            self._io.wake()
            self._bury()

    def __enter__(self) -> Producer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
            return
        try:
            self.close()
        except LaybyError as failed:
            log.error("leaving the producer of %s: %s", self.topic, failed)


def _resolve(future: Future[int], result: int | LaybyError) -> None:
    if not future.set_running_or_notify_cancel():
        return
    if isinstance(result, LaybyError):
        future.set_exception(result)
    else:
        future.set_result(result)


def _unset(result: int | LaybyError) -> None:
    """Replaced before anything can come."""
