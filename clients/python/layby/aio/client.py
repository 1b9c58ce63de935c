"""A connection to one broker, for asyncio. Owns the parts that live on it and their common end.

Must never know frames, sequences or leases.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Generator, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Unpack

from layby import _exit, _fork
from layby._batcher import BLOCK_BYTES
from layby._desk import OnError
from layby._given import as_name, message_fields
from layby._hello import as_limits, check_size, client_fields, default_name
from layby._options import PREFETCH_BYTES, OnLost, Options, as_terms
from layby._pusher import Pusher
from layby._sequence import Lone
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
from layby.aio._io import Hub
from layby.aio.consumer import Consumer
from layby.aio.producer import Producer, set_result
from layby.aio.reader import Reader
from layby.aio.work import work
from layby.answer import Response
from layby.errors import Closed, LaybyError, OutcomeUnknown, Unreachable
from layby.message import Message
from layby.producer import LINGER_S

log = logging.getLogger("layby")


class connect:
    """`async with connect(endpoint) as client`, or `client = await connect(endpoint)`: says hello,
    raises Unreachable when nobody answers within `timeout`."""

    def __init__(self, endpoint: str, *, name: str | None = None, timeout: Seconds = 5.0) -> None:
        self._endpoint = endpoint
        self._name = name
        self._timeout = as_seconds(timeout)
        self._client: Client | None = None

    def __await__(self) -> Generator[Any, None, Client]:
        return self._connect().__await__()

    async def _connect(self) -> Client:
        client = Client(self._endpoint, self._name)
        try:
            await client._greet(self._timeout)
        except BaseException:
            await client.close(0)
            raise
        return client

    async def __aenter__(self) -> Client:
        self._client = await self._connect()
        return self._client

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._client is not None:
            await self._client.close()


class Client:
    """Made by `layby.aio.connect`, in a running loop; belongs to that loop."""

    def __init__(self, endpoint: str, name: str | None = None) -> None:
        self.endpoint = endpoint
        self.name = default_name() if name is None else as_name(name, "name")
        self.server: dict[str, Any] = {}
        self._born = _fork.generation
        self._closed = False
        self._hub = Hub(endpoint)
        self._io = self._hub.io
        self._pusher = Pusher(self._hub.link, self._hub.limits)
        _exit.opened(self)

    async def _greet(self, timeout: float) -> None:
        try:
            self.server = dict(await self.request("hello", timeout=timeout, **client_fields()))
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

    # ---- pushing

    async def push(
        self,
        topic: str,
        data: Data,
        *,
        key: Data | None = None,
        headers: Mapping[str, str] | None = None,
        timestamp: When | None = None,
        timeout: Seconds = 30.0,
    ) -> int:
        """Returns the position once the message is durable; as in `layby.Client.push`."""
        self._check()
        as_name(topic, "topic")
        body = as_bytes(data)
        check_size(body, self._hub.limits)
        lone = Lone(message_fields(body, key, headers, timestamp))
        future: asyncio.Future[int] = self._io.loop.create_future()
        deadline = as_deadline(timeout, self._io.clock())
        self._pusher.add(topic, lone, 1, len(body), deadline, partial(set_result, future))
        self._io.wake()
        return await future

    async def push_again(self, error: OutcomeUnknown, *, timeout: Seconds = 30.0) -> int:
        """Resend the push whose outcome is unknown, and all unconfirmed before it."""
        self._check()
        future: asyncio.Future[int] = self._io.loop.create_future()
        deadline = as_deadline(timeout, self._io.clock())
        if not self._pusher.add_again(error, deadline, partial(set_result, future)):
            raise ValueError("this error is not of a push, or it was pushed again before")
        self._io.wake()
        return await future

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
        """Work on the messages of topics (names or patterns with *) as a member of a group."""
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

    async def work(
        self,
        handler: Callable[[Message], Any],
        *topics: str,
        group: str,
        jobs: int = 1,
        **options: Unpack[Options],
    ) -> None:
        """Await `handler(message)` in `jobs` tasks, under the rules of `with message:`, until
        `client.stop()`. A handler that blocks the loop stops the progress reports."""
        async with self._consume(topics, group, jobs, options) as consumer:
            await work(consumer, handler, jobs)

    def read(
        self,
        *topics: str,
        start: Start = "latest",
        until: int | None = None,
        idle_timeout: Seconds | None = None,
    ) -> Reader:
        """Messages without a group: takes no work, settles nothing."""
        self._check()
        topics = tuple(as_name(topic, "topic") for topic in topics)
        return Reader(self._hub, topics, as_start(start), until, idle_timeout)

    def stop(self) -> None:
        """Stop every consumer, `work` and reader of this client. Safe in a signal handler."""
        for taker in list(self._hub.takers):
            taker.stop()

    # ---- anything else

    async def request(
        self, op: str, *, block: bytes | None = None, timeout: Seconds = 10.0, **fields: Any
    ) -> Response:
        """Any operation of the protocol; as in `layby.Client.request`."""
        self._check()
        block = None if block is None else as_bytes(block)
        future: asyncio.Future[Any] = self._io.loop.create_future()
        deadline = as_deadline(timeout, self._io.clock())
        asked = self._hub.requests.ask(op, fields, deadline, partial(set_result, future), block)
        self._io.wake()
        try:
            return Response(await future)
        finally:
            self._hub.requests.forget(asked)

    # ---- the end

    async def close(self, timeout: Seconds = 10.0) -> None:
        """Close consumers and producers, then the connection."""
        if self._closed:
            return
        _fork.check(self._born)
        deadline = as_deadline(timeout, self._io.clock())
        for taker in list(self._hub.takers):
            await taker.close(max(0.0, deadline - self._io.clock()))
        for giver in list(self._hub.givers):
            try:
                await giver.close(max(0.0, deadline - self._io.clock()))
            except LaybyError as error:
                log.error("closing the client: %s: %s", giver.topic, error)
        self._end()

    def _end(self) -> None:
        self._closed = True
        self._pusher.close()
        self._hub.requests.fail(Closed("the client was closed"))
        self._io.close()
        self._hub.link.run_after()
        _exit.closed(self)

    def flush_at_exit(self, seconds: float) -> int:
        """For a client that was left open when the interpreter ends."""
        if self._closed or self._born != _fork.generation:
            return 0
        self._io.drain(seconds, self._all_done)
        left = sum(giver.unconfirmed for giver in self._hub.givers)
        self._closed = True
        self._io.close()
        return left

    def _all_done(self) -> bool:
        unconfirmed = any(giver.unconfirmed for giver in self._hub.givers)
        return not unconfirmed and all(taker.settled for taker in self._hub.takers)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<layby.aio.Client {self.endpoint}>"
