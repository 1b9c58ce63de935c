"""A connection to one broker, for threads. Owns the parts that live on it and their common end.

Must never know frames, sequences or leases.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from types import TracebackType
from typing import Any, Unpack

from layby import _exit, _fork
from layby._batcher import BLOCK_BYTES
from layby._desk import OnError
from layby._direct import Direct
from layby._given import as_name, message_fields
from layby._hello import as_limits, check_size, client_fields, default_name
from layby._hub import Giver, Hub
from layby._options import PREFETCH_BYTES, OnLost, Options, as_terms
from layby._pusher import Pusher
from layby._sequence import Lone, Number
from layby._units import (
    Data,
    Seconds,
    Start,
    When,
    as_bytes,
    as_deadline,
    as_seconds,
    as_start,
)
from layby._wire import Answer
from layby.answer import Response
from layby.consumer import Consumer
from layby.errors import Closed, LaybyError, OutcomeUnknown, PushFailed, TimedOut, Unreachable
from layby.message import Message
from layby.producer import LINGER_S, Producer
from layby.reader import Reader
from layby.work import work

log = logging.getLogger("layby")


def connect(endpoint: str, *, name: str | None = None, timeout: Seconds = 5.0) -> Client:
    """Connect and say hello; raises Unreachable when nobody answers within `timeout`."""
    client = Client(endpoint, name)
    try:
        client._greet(as_seconds(timeout))
    except BaseException:
        client.close(0)
        raise
    return client


class Client:
    """Made by `layby.connect`. Thread-safe; close it, or use it in a `with` block."""

    def __init__(self, endpoint: str, name: str | None = None) -> None:
        self.endpoint = endpoint
        self.name = default_name() if name is None else as_name(name, "name")
        self.server: dict[str, Any] = {}
        self._born = _fork.generation
        self._closed = False
        self._hub = Hub(endpoint)
        self._io = self._hub.io
        self._pusher = Pusher(self._hub.link, self._hub.limits)
        self._direct = Direct(self._io.context, endpoint)
        self._io.start()
        _exit.opened(self)

    def _greet(self, timeout: float) -> None:
        try:
            self.server = dict(self.request("hello", timeout=timeout, **client_fields()))
        except LaybyError as error:
            raise Unreachable(f"no layby broker answers at {self.endpoint}: {error}") from error
        self._hub.limits = self._pusher.limits = as_limits(self.server.get("limits", {}))

    def _check(self) -> None:
        if self._born != _fork.generation:
            _fork.check(self._born)
        if self._closed:
            raise Closed("the client is closed")
        if self._hub.link.failure is not None:
            raise self._hub.link.failure

    def _check_wait(self) -> None:
        """Before a call that waits for the I/O thread."""
        self._check()
        self._io.may_wait()

    # ---- pushing

    def push(
        self,
        topic: str,
        data: Data,
        *,
        key: Data | None = None,
        headers: Mapping[str, str] | None = None,
        timestamp: When | None = None,
        timeout: Seconds = 30.0,
    ) -> int:
        """Returns the position once the message is durable. Resent inside `timeout` under the same
        number, so that it is stored once; then raises OutcomeUnknown (see `push_again`)."""
        self._check_wait()
        as_name(topic, "topic")
        body = as_bytes(data)
        check_size(body, self._hub.limits)
        lone = Lone(message_fields(body, key, headers, timestamp))
        now = self._io.clock()
        deadline = as_deadline(timeout, now)
        begun = self._direct.push(topic, lone, deadline - now)
        if isinstance(begun, int):
            return begun
        return self._push_on(begun, topic, lone, len(body), deadline)

    def _push_on(
        self, begun: Number | None, topic: str, lone: Lone, size: int, deadline: float
    ) -> int:
        """By the I/O thread, which resends and waits out refusals; under the number it has."""
        future: Future[int] = Future()
        done = partial(self._resolve, future)
        with self._io.lock:
            over = self._hub.link.failure
            if self._closed or over is not None:
                raise _closed_early(begun) from over
            if begun is None:
                self._pusher.add(topic, lone, 1, size, deadline, done)
            else:
                self._pusher.adopt(begun, topic, lone, size, deadline, done)
        self._io.wake()
        return future.result()

    def push_again(self, error: OutcomeUnknown, *, timeout: Seconds = 30.0) -> int:
        """Resend the push whose outcome is unknown, and all unconfirmed before it, under the
        numbers they had: what was stored is not stored again."""
        self._check_wait()
        future: Future[int] = Future()
        done = partial(self._resolve, future)
        with self._io.lock:
            self._check()
            deadline = as_deadline(timeout, self._io.clock())
            if not self._pusher.add_again(error, deadline, done):
                raise ValueError("this error is not of a push, or it was pushed again before")
        self._io.wake()
        return future.result()

    def _resolve(self, future: Future[Any], result: object) -> None:
        """In the I/O thread, under the lock: tell the waiting thread once the lock is free."""
        self._hub.link.after.append(partial(_settle, future, result))

    def producer(
        self,
        topic: str,
        *,
        block_bytes: int = BLOCK_BYTES,
        linger: Seconds = LINGER_S,
        timeout: Seconds = 30.0,
    ) -> Producer:
        """For many messages: they are gathered in blocks, many under way at a time."""
        self._check()
        as_name(topic, "topic")
        return Producer(self._hub, topic, block_bytes=block_bytes, linger=linger, timeout=timeout)

    # ---- consuming

    def consume(
        self,
        *topics: str,
        group: str,
        start: Start = "earliest",
        prefetch: int | None = None,
        prefetch_bytes: int = PREFETCH_BYTES,
        lease: Seconds | None = None,
        idle_timeout: Seconds | None = None,
        on_error: OnError = "continue",
        on_lost: OnLost | None = None,
    ) -> Consumer:
        """Work on the messages of topics (names or patterns with *) as a member of a group.
        `on_lost` runs on the I/O thread: calls that wait raise RuntimeError there."""
        options = Options(
            start=start, prefetch=prefetch, prefetch_bytes=prefetch_bytes, lease=lease,
            idle_timeout=idle_timeout, on_error=on_error, on_lost=on_lost,
        )  # fmt: skip
        return self._consume(topics, group, 1, options)

    def _consume(
        self, topics: tuple[str, ...], group: str, jobs: int, options: Options
    ) -> Consumer:
        self._check()
        return Consumer(
            self._hub,
            as_terms(topics, group, self.name, jobs, options),
            idle_timeout=options.get("idle_timeout"),
            on_error=options.get("on_error", "continue"),
            on_lost=options.get("on_lost"),
        )

    def work(
        self,
        handler: Callable[[Message], object],
        *topics: str,
        group: str,
        jobs: int = 1,
        **options: Unpack[Options],
    ) -> None:
        """Call `handler` with each message in `jobs` threads, under the rules of `with message:`,
        until `client.stop()`. The options are those of `consume`."""
        with self._consume(topics, group, jobs, options) as consumer:
            work(consumer, handler, jobs)

    def read(
        self,
        *topics: str,
        start: Start = "latest",
        until: int | None = None,
        idle_timeout: Seconds | None = None,
    ) -> Reader:
        """Messages without a group: takes no work, settles nothing. Ends before position `until`,
        when nothing came for `idle_timeout`, or by `stop()`."""
        self._check()
        topics = tuple(as_name(topic, "topic") for topic in topics)
        return Reader(self._hub, topics, as_start(start), until, idle_timeout)

    def stop(self) -> None:
        """Stop every consumer, `work` and reader of this client. Safe in a signal handler."""
        for taker in list(self._hub.takers):
            taker.stop()

    # ---- anything else

    def request(
        self, op: str, *, block: bytes | None = None, timeout: Seconds = 10.0, **fields: Any
    ) -> Response:
        """Any operation of the protocol: its answer's fields, and `.blocks`. Raises Refused,
        TimedOut (of what changes nothing), OutcomeUnknown (of the rest) or Unreachable."""
        self._check_wait()
        block = None if block is None else as_bytes(block)
        future: Future[Answer] = Future()
        done = partial(self._resolve, future)
        with self._io.lock:
            deadline = as_deadline(timeout, self._io.clock())
            self._hub.requests.ask(op, fields, deadline, done, block)
        self._io.wake()
        return Response(future.result())

    # ---- the end

    def close(self, timeout: Seconds = 10.0) -> None:
        """Close consumers and producers, then the connection."""
        if self._closed:
            return
        _fork.check(self._born)
        self._io.may_wait()
        deadline = as_deadline(timeout, self._io.clock())
        for taker in list(self._hub.takers):
            taker.close(max(0.0, deadline - self._io.clock()))
        self._close_producers(deadline)
        self._closed = True
        self._direct.close()
        with self._io.lock:
            self._pusher.close()
            self._hub.requests.fail(Closed("the client was closed"))
        self._io.stop()
        self._hub.link.run_after()
        _exit.closed(self)

    def _close_producers(self, deadline: float) -> None:
        for producer in list(self._hub.givers):
            try:
                producer.close(max(0.0, deadline - self._io.clock()))
            except LaybyError as error:
                log.error("closing the client: %s: %s", producer.topic, error)

    def flush_at_exit(self, seconds: float) -> int:
        """For a client that was left open when the interpreter ends."""
        if self._closed or self._born != _fork.generation:
            return 0
        deadline = self._io.clock() + seconds
        left = sum(
            _given_up(giver, max(0.0, deadline - self._io.clock()))
            for giver in list(self._hub.givers)
        )
        self.close(max(0.0, deadline - self._io.clock()))
        return left

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<layby.Client {self.endpoint}>"


def _settle(future: Future[Any], result: object) -> None:
    if isinstance(result, BaseException):
        future.set_exception(result)
    else:
        future.set_result(result)


def _closed_early(begun: Number | None) -> LaybyError:
    if begun is None:
        return Closed("the client is closed")
    return OutcomeUnknown("the client was closed before the push was confirmed")


def _given_up(giver: Giver, timeout: float) -> int:
    """Close it; the messages that were not confirmed."""
    try:
        giver.flush(timeout)
    except PushFailed as error:
        return sum(len(block) for block in error.failed)
    except TimedOut:
        left = giver.unconfirmed
        with contextlib.suppress(LaybyError):
            giver.close(0)
        return left
    return 0
