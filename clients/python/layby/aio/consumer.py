"""A consumer for asyncio: messages for as long as the loop runs. Owns the waiting for them, and
leaving. Must never know frames or sockets; what to ask for and when is the session's."""

from __future__ import annotations

import logging
import math
from functools import partial
from types import TracebackType

from layby import _fork
from layby._desk import Desk, OnError
from layby._lease import RELEASE, Run
from layby._lost import tell_lost
from layby._options import OnLost
from layby._queue import Hand
from layby._session import Session, Terms
from layby._settling import Flight, Lost
from layby._units import Seconds, as_deadline, as_seconds
from layby.aio._io import Bell, Hub
from layby.batch import Batch
from layby.consumer import GOODBYE_S
from layby.errors import Closed, TimedOut
from layby.message import Message

log = logging.getLogger("layby")


class Consumer:
    """Made by `client.consume(...)`. An async context manager and an async iterator."""

    def __init__(
        self,
        hub: Hub,
        terms: Terms,
        *,
        idle_timeout: Seconds | None = None,
        on_error: OnError = "continue",
        on_lost: OnLost | None = None,
    ) -> None:
        self.lost = 0
        self._hub = hub
        self._io = hub.io
        self._news = Bell(hub.io)
        self._stopped = False
        self._closed = False
        self._idle_s = math.inf if idle_timeout is None else as_seconds(idle_timeout)
        self._on_lost = on_lost
        self._born = _fork.generation
        self._session = Session(hub.link, terms, self._news.ring, self._note_lost)
        self._desk = Desk(self._session, hub.io.lock, hub.io.clock, hub.io.wake, on_error)
        self._hand = self.new_hand()
        hub.takers.add(self)

    @property
    def group(self) -> str:
        return self._session.terms.group

    @property
    def settled(self) -> bool:
        """Whether every outcome given so far is durable."""
        return self._session.settling.empty

    # ---- what handlers take

    def new_hand(self) -> Hand:
        hand = Hand()
        self._session.queue.hands.append(hand)
        return hand

    def __aiter__(self) -> Consumer:
        return self

    async def __anext__(self) -> Message:
        return await self.next_message(self._hand)

    async def next_message(self, hand: Hand) -> Message:
        """The next message for this hand; StopAsyncIteration when there will be none."""
        _fork.check(self._born)
        queue = self._session.queue
        now = self._io.clock()
        if hand.run is not None:
            queue.returned(hand, now)
        run = None if self._stopped else queue.take(hand, now)
        if run is None:
            await self._wait_any(now)
            run = queue.take(hand, self._io.clock())
            while run is None:
                await self._wait_any(now)
                run = queue.take(hand, self._io.clock())
        self._feed()
        return Message(self._desk, run, run.first)

    def _feed(self) -> None:
        if self._session.starving:
            self._io.wake()

    def _check_going(self) -> None:
        if self._session.failure is not None:
            raise self._session.failure
        if self._stopped:
            raise StopAsyncIteration

    async def _wait_any(self, now: float) -> None:
        """Until something is queued; raises StopAsyncIteration."""
        session = self._session
        deadline = now + self._idle_s
        session.waiting += 1
        try:
            while True:
                self._check_going()
                if session.queue.messages:
                    return
                left = deadline - self._io.clock()
                if left <= 0:
                    raise StopAsyncIteration
                self._io.wake()
                await self._news.wait(left)
        finally:
            session.waiting -= 1

    # ---- batches

    def batches(
        self, max_messages: int = 500, max_bytes: int = 1 << 20, max_wait: Seconds = 0.05
    ) -> Batches:
        """An async iterator of batches, for bulk work."""
        self._session.unit = max_messages
        return Batches(self, max_messages, max_bytes, as_seconds(max_wait))

    async def next_batch(
        self, hand: Hand, max_messages: int, max_bytes: int, max_wait_s: float
    ) -> Batch:
        _fork.check(self._born)
        queue = self._session.queue
        now = self._io.clock()
        if hand.run is not None:
            queue.returned(hand, now)
        runs: list[Run] = []
        while not runs:
            await self._wait_any(now)
            await self._fill(max_messages, max_bytes, max_wait_s)
            runs = queue.take_batch(hand, max_messages, max_bytes, self._io.clock())
        self._feed()
        return Batch(self._desk, runs)

    async def _fill(self, max_messages: int, max_bytes: int, max_wait_s: float) -> None:
        """Give a batch that is not full yet a little time."""
        session = self._session
        until = session.queue.came + max_wait_s
        session.filling += 1
        try:
            while session.queue.messages and not session.queue.fills(max_messages, max_bytes):
                self._check_going()
                left = until - self._io.clock()
                if left <= 0:
                    return
                self._io.wake()
                await self._news.wait(left)
        finally:
            session.filling -= 1

    # ---- outcomes that do not count

    def _note_lost(self, lost: list[Lost]) -> None:
        self.lost += len(lost)
        self._hub.link.after.append(partial(tell_lost, lost, self.group, self._on_lost, self._desk))

    # ---- the end

    def stop(self) -> None:
        """End the iteration; what was not started goes back. Safe in a signal handler."""
        self._stopped = True
        self._io.call(lambda: self._session.stop(self._io.clock()))

    async def flush(self, timeout: Seconds | None = None) -> None:
        """Returns when every outcome given so far is durable; raises TimedOut."""
        _fork.check(self._born)
        deadline = as_deadline(timeout, self._io.clock())
        await self._wait_settled(self._send_all(), deadline)

    def _send_all(self) -> list[Flight]:
        flights = self._session.settling.leave_all(self._io.clock())
        self._io.wake()
        for flight in flights:
            flight.done.append(self._news.ring)
        return flights

    async def _wait_settled(self, flights: list[Flight], deadline: float) -> None:
        while not set(flights).isdisjoint(self._session.settling.flights):
            await self._wait_until(deadline, "outcomes are not durable yet")

    async def _wait_until(self, deadline: float, what: str) -> None:
        if self._hub.link.failure is not None:
            raise self._hub.link.failure
        left = deadline - self._io.clock()
        if left <= 0:
            raise TimedOut(what)
        await self._news.wait(left)

    async def close(self, timeout: Seconds = 10.0) -> None:
        """Send outcomes, release what has none, say goodbye."""
        if self._closed:
            return
        self._stopped = self._closed = True
        session = self._session
        self._desk.settle_rest(list(session.progress.out), RELEASE)
        session.stop(self._io.clock())
        try:
            if self._hub.link.up or not session.settling.empty:
                await self._say_goodbye(as_deadline(timeout, self._io.clock()))
        except (TimedOut, Closed):
            log.warning("leaving group %s: not everything was confirmed", self.group)
        finally:
            session.leave()
            self._hub.takers.discard(self)
            self._news.ring()

    async def _say_goodbye(self, deadline: float) -> None:
        """Behind the outcomes; both are waited for together. Once the outcomes are durable the
        goodbye is mere courtesy, for which nobody waits long."""
        session = self._session
        heard: list[object] = []

        def done(result: object) -> None:
            heard.append(result)
            self._news.ring()

        flights = self._send_all()
        session.part()
        names = {"group": session.terms.group, "session": session.id}
        request = self._hub.requests.ask("goodbye", names, deadline, done)
        try:
            await self._wait_settled(flights, deadline)
            deadline = min(deadline, self._io.clock() + GOODBYE_S)
            while not heard:
                await self._wait_until(deadline, "no answer to goodbye")
        finally:
            self._hub.requests.forget(request)

    async def __aenter__(self) -> Consumer:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


class Batches:
    """An async iterator of batches; each task that works takes its own."""

    def __init__(
        self, consumer: Consumer, max_messages: int, max_bytes: int, max_wait_s: float
    ) -> None:
        self._consumer = consumer
        self._hand = consumer.new_hand()
        self._bounds = (max_messages, max_bytes, max_wait_s)

    def __aiter__(self) -> Batches:
        return self

    async def __anext__(self) -> Batch:
        return await self._consumer.next_batch(self._hand, *self._bounds)
