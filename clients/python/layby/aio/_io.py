"""The socket of an async client on its event loop. Owns the socket, the timer and waiting.

Must never know what the frames mean. libzmq's descriptor is edge-triggered: whoever stops before
the socket is empty, or sends, must look again by itself.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import zmq

from layby._chores import Chores
from layby._link import Link
from layby._requests import Requests
from layby._sequence import Limits
from layby._socket import Context, Dealer
from layby._units import Seconds
from layby.errors import Closed, closed_by

log = logging.getLogger("layby")

BURST = 64


class LoopIo:
    def __init__(self, endpoint: str, link: Link) -> None:
        self.loop = asyncio.get_running_loop()
        self.clock: Callable[[], float] = time.monotonic
        self.lock: AbstractContextManager[Any] = nullcontext()
        self._link = link
        self._context: Context = zmq.Context()
        self.chores = Chores()
        self._timer: asyncio.TimerHandle | None = None
        self._due = math.inf
        self._scheduled = False
        self._closed = False
        try:
            self._dealer = Dealer(self._context, endpoint)
        except BaseException:
            self._context.term()
            raise
        self._fds = self._dealer.descriptors()
        for fd in self._fds:
            self.loop.add_reader(fd, self._turn)
        self.wake()

    # ---- for the parts, on the loop's thread

    def wake(self) -> None:
        """A timer moved or there is something to send."""
        if not self._scheduled and not self._closed:
            self._scheduled = True
            self.loop.call_soon(self._scheduled_turn)

    def call(self, call: Callable[[], object]) -> None:
        """Have it called on the loop; from any thread, and in signal handlers."""
        if not self._closed:
            self.loop.call_soon_threadsafe(call)
            self.loop.call_soon_threadsafe(self.wake)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if not self.loop.is_closed():
            for fd in self._fds:
                self.loop.remove_reader(fd)
        self._dealer.close()
        self._context.term()

    def drain(self, seconds: float, done: Callable[[], bool]) -> None:
        """Without the loop, which is gone: turn by hand until it is done."""
        until = self.clock() + seconds
        while not self._closed and not done() and self.clock() < until:
            self._step()
            self._link.after.clear()
            zmq.zmq_poll([(self._dealer.socket, zmq.POLLIN), (self._dealer.monitor, zmq.POLLIN)], 5)

    # ---- a turn

    def _scheduled_turn(self) -> None:
        self._scheduled = False
        self._turn()

    def _turn(self) -> None:
        if self._closed:
            return
        try:
            due, more = self._step()
        except Exception as error:
            log.exception("the I/O of a layby client stopped")
            self._fail(closed_by("the client's I/O stopped", error))
            return
        finally:
            self._link.run_after()
        if more or self._link.after:
            self.wake()
        self._set_timer(due)

    def _fail(self, failure: Closed) -> None:
        """Whoever waits is told; whoever asks from now on finds it at the link."""
        self._link.fail(failure)
        self.chores.fail(failure)
        self.close()

    def _step(self) -> tuple[float, bool]:
        """One round; when the next is due, and whether there is more to do at once."""
        for came in self._dealer.changes():
            if came:
                self._link.connected(self.clock())
            else:
                self._link.disconnected()
        self._receive()
        now = self.clock()
        due = self.chores.run(now)
        due = min(due, self._link.advance(now))
        self._send()
        return due, self._dealer.readable()

    def _receive(self) -> None:
        for _ in range(BURST):
            frames = self._dealer.receive()
            if frames is None:
                return
            self._link.receive(frames, self.clock())

    def _send(self) -> None:
        """What does not go now goes when the descriptor says that the socket has room."""
        outbox = self._link.outbox
        while outbox and self._dealer.send(outbox[0]):
            outbox.popleft()

    def _set_timer(self, due: float) -> None:
        if due == self._due and self._timer is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due = due
        if due != math.inf:
            self._timer = self.loop.call_later(max(0.0, due - self.clock()), self._timed)

    def _timed(self) -> None:
        self._timer = None
        self._turn()


class Bell:
    """Wakes coroutines that wait for news."""

    def __init__(self, io: LoopIo) -> None:
        self._io = io
        self._waiters: set[asyncio.Future[None]] = set()

    def ring(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    async def wait(self, seconds: float = math.inf) -> None:
        """Until it rings, or for so long."""
        loop = self._io.loop
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiters.add(waiter)
        timer = None if seconds == math.inf else loop.call_later(seconds, _let_go, waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)
            if timer is not None:
                timer.cancel()


def _let_go(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class Taker(Protocol):
    @property
    def settled(self) -> bool: ...

    def stop(self) -> None: ...

    async def close(self, timeout: Seconds = ...) -> None: ...


class Giver(Protocol):
    topic: str

    @property
    def unconfirmed(self) -> int: ...

    async def close(self, timeout: Seconds | None = ...) -> None: ...


class Hub:
    """What the parts of one client share."""

    def __init__(self, endpoint: str) -> None:
        self.link = Link()
        self.requests = Requests(self.link)
        self.io = LoopIo(endpoint, self.link)
        self.limits = Limits()
        self.takers: set[Taker] = set()
        self.givers: set[Giver] = set()
