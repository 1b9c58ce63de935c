"""A consumer: messages for as long as the loop runs. Owns the waiting for them, and leaving.

Must never know frames or sockets; what to ask for and when is the session's.
"""

from __future__ import annotations

import logging
import math
import threading
from functools import partial
from types import TracebackType

from layby import _fork
from layby._desk import Desk, OnError
from layby._hub import Hub
from layby._lease import RELEASE, Run
from layby._lost import tell_lost
from layby._options import OnLost
from layby._queue import Hand
from layby._session import Session, Terms
from layby._settling import Flight, Lost
from layby._units import Seconds, as_deadline, as_seconds
from layby.batch import Batch
from layby.errors import Closed, TimedOut
from layby.message import Message

log = logging.getLogger("layby")

GOODBYE_S = 1.0


class Consumer:
    """Made by `client.consume(...)`. A context manager and an iterator; threads may share it."""

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
        self._io = io = hub.io
        self._link = hub.link
        self._cond = threading.Condition(io.lock)
        self._stopped = False
        self._closed = False
        self._idle_s = math.inf if idle_timeout is None else as_seconds(idle_timeout)
        self._on_lost = on_lost
        self._born = _fork.generation
        with io.lock:
            self._session = Session(hub.link, terms, self._cond.notify_all, self._note_lost)
        self._desk = Desk(self._session, io.lock, io.clock, io.wake, on_error)
        self._hand = self.new_hand()
        hub.takers.add(self)

    @property
    def group(self) -> str:
        return self._session.terms.group

    # ---- what handlers take

    def new_hand(self) -> Hand:
        hand = Hand()
        with self._io.lock:
            self._session.queue.hands.append(hand)
        return hand

    def __iter__(self) -> Consumer:
        return self

    def __next__(self) -> Message:
        return self.next_message(self._hand)

    def next_message(self, hand: Hand) -> Message:
        """The next message for this hand; StopIteration when there will be none."""
        if self._born != _fork.generation:
            _fork.check(self._born)
        self._io.may_wait()
        with self._cond:
            now = self._io.clock()
            session = self._session
            if hand.run is not None:
                session.queue.returned(hand, now)
            run = None if self._stopped else session.queue.take(hand, now)
            if run is None:
                run = self._wait(hand, now)
            starving = session.starving
        if starving:
            self._io.wake()
        return Message(self._desk, run, run.first)

    def _wait(self, hand: Hand, now: float) -> Run:
        """Until a message is there; raises StopIteration."""
        session = self._session
        deadline = now + self._idle_s
        session.waiting += 1
        try:
            while True:
                self._check_going()
                run = session.queue.take(hand, self._io.clock())
                if run is not None:
                    return run
                self._wait_for_news(deadline)
        finally:
            session.waiting -= 1

    def _check_going(self) -> None:
        if self._session.failure is not None:
            raise self._session.failure
        if self._stopped:
            raise StopIteration

    def _wait_for_news(self, deadline: float) -> None:
        left = deadline - self._io.clock()
        if left <= 0:
            raise StopIteration
        self._io.wake()
        self._cond.wait(None if left == math.inf else left)

    # ---- batches

    def batches(
        self,
        max_messages: int = 500,
        max_bytes: int = 1 << 20,
        max_wait: Seconds = 0.05,
    ) -> Batches:
        """An iterator of batches, for bulk work. Share either it or the consumer, not both."""
        with self._io.lock:
            self._session.unit = max_messages
        return Batches(self, max_messages, max_bytes, as_seconds(max_wait))

    def next_batch(self, hand: Hand, max_messages: int, max_bytes: int, max_wait_s: float) -> Batch:
        _fork.check(self._born)
        self._io.may_wait()
        with self._cond:
            now = self._io.clock()
            session = self._session
            if hand.run is not None:
                session.queue.returned(hand, now)
            runs: list[Run] = []
            while not runs:
                self._wait_any(now)
                self._fill(max_messages, max_bytes, max_wait_s)
                runs = session.queue.take_batch(hand, max_messages, max_bytes, self._io.clock())
            starving = session.starving
        if starving:
            self._io.wake()
        return Batch(self._desk, runs)

    def _wait_any(self, now: float) -> None:
        session = self._session
        deadline = now + self._idle_s
        session.waiting += 1
        try:
            while True:
                self._check_going()
                if session.queue.messages:
                    return
                self._wait_for_news(deadline)
        finally:
            session.waiting -= 1

    def _fill(self, max_messages: int, max_bytes: int, max_wait_s: float) -> None:
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
                self._cond.wait(left)
        finally:
            session.filling -= 1

    # ---- outcomes that do not count

    def _note_lost(self, lost: list[Lost]) -> None:
        """In the I/O thread, under the lock."""
        self.lost += len(lost)
        self._link.after.append(partial(tell_lost, lost, self.group, self._on_lost, self._desk))

    # ---- the end

    def stop(self) -> None:
        """End the iteration; what was not started goes back. Safe in a signal handler and from
        any thread: a flag and a wake-up byte."""
        self._stopped = True
        self._io.call(lambda: self._session.stop(self._io.clock()))

    def flush(self, timeout: Seconds | None = None) -> None:
        """Returns when every outcome given so far is durable; raises TimedOut."""
        _fork.check(self._born)
        self._io.may_wait()
        deadline = as_deadline(timeout, self._io.clock())
        with self._cond:
            self._wait_settled(self._send_all(), deadline)

    def _send_all(self) -> list[Flight]:
        flights = self._session.settling.leave_all(self._io.clock())
        self._io.wake()
        for flight in flights:
            flight.done.append(self._cond.notify_all)
        return flights

    def _wait_settled(self, flights: list[Flight], deadline: float) -> None:
        while not set(flights).isdisjoint(self._session.settling.flights):
            self._wait_until(deadline, "outcomes are not durable yet")

    def _wait_until(self, deadline: float, what: str) -> None:
        if self._link.failure is not None:
            raise self._link.failure
        left = deadline - self._io.clock()
        if left <= 0:
            raise TimedOut(what)
        self._cond.wait(None if left == math.inf else left)

    def close(self, timeout: Seconds = 10.0) -> None:
        """Send outcomes, release what has none, say goodbye."""
        if self._closed:
            return
        self._io.may_wait()
        self._stopped = True
        session = self._session
        self._desk.settle_rest(list(session.progress.out), RELEASE)
        deadline = as_deadline(timeout, self._io.clock())
        with self._cond:
            session.stop(self._io.clock())
            self._closed = True
            try:
                if self._link.up or not session.settling.empty:
                    self._say_goodbye(deadline)
            except (TimedOut, Closed):
                log.warning("leaving group %s: not everything was confirmed", self.group)
            finally:
                session.leave()
                self._hub.takers.discard(self)
                self._cond.notify_all()

    def _say_goodbye(self, deadline: float) -> None:
        """Behind the outcomes; both are waited for together. Once the outcomes are durable the
        goodbye is mere courtesy, for which nobody waits long."""
        session = self._session
        heard: list[object] = []

        def done(result: object) -> None:
            heard.append(result)
            self._cond.notify_all()

        flights = self._send_all()
        session.part()
        names = {"group": session.terms.group, "session": session.id}
        request = self._hub.requests.ask("goodbye", names, deadline, done)
        try:
            self._wait_settled(flights, deadline)
            deadline = min(deadline, self._io.clock() + GOODBYE_S)
            while not heard:
                self._wait_until(deadline, "no answer to goodbye")
        finally:
            self._hub.requests.forget(request)

    def __enter__(self) -> Consumer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Batches:
    """An iterator of batches; each thread that works takes its own."""

    def __init__(
        self, consumer: Consumer, max_messages: int, max_bytes: int, max_wait_s: float
    ) -> None:
        self._consumer = consumer
        self._hand = consumer.new_hand()
        self._bounds = (max_messages, max_bytes, max_wait_s)

    def __iter__(self) -> Batches:
        return self

    def __next__(self) -> Batch:
        return self._consumer.next_batch(self._hand, *self._bounds)
