"""One connection, without its socket: which answer belongs to which request, and when to wake.

Owns request ids, the outbox, the boot number last seen and the list of parts (sessions, pushers,
requests) that live on the connection. Must never know sockets, threads, event loops or a clock:
frames and times come in as arguments, frames go out by `outbox`, calls to users by `after`.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Protocol

from layby import _wire
from layby._block import Buffer
from layby._wire import Answer, Fields
from layby.errors import LaybyError

log = logging.getLogger("layby")

NEVER = math.inf

UNSENDABLE = {"ok": False, "code": "bad_request", "fault": "yours", "retryable": False}

Handler = Callable[[Answer, float], None]


class Part(Protocol):
    """Something that lives on a link and has its own timers."""

    def advance(self, now: float) -> None:
        """Do what is due."""

    def deadline(self) -> float:
        """When `advance` has something to do next."""

    def connected(self, now: float) -> None:
        """There is a connection (again): what was sent before and not answered may be lost."""

    def fail(self, error: LaybyError) -> None:
        """The connection is over for good: tell whoever waits."""

    def rebooted(self, now: float) -> None:
        """The broker was started anew: what it knew of leases is gone."""


class Link:
    """See the module. Everything here happens under the owner's lock, if it has one.

    `failure` is set once it is over for good: nothing that is asked from then on is answered.
    `flight_bytes` are the bytes of pushes under way, of all producers: the broker's credit is the
    connection's."""

    def __init__(self) -> None:
        self.outbox: deque[_wire.Frames] = deque()
        self.after: deque[Callable[[], object]] = deque()
        self.boot: int | None = None
        self.up = False
        self.damaged = 0
        self.flight_bytes = 0
        self.failure: LaybyError | None = None
        self._unsendable: deque[tuple[int, str]] = deque()
        self._ids = count(1)
        self._handlers: dict[int, Handler] = {}
        self._confirmed: dict[bytes, Handler] = {}
        self._parts: list[Part] = []

    # ---- for the parts

    def join(self, part: Part) -> None:
        self._parts.append(part)

    def leave(self, part: Part) -> None:
        if part in self._parts:
            self._parts.remove(part)

    def claim(self, handler: Handler) -> int:
        """A request id whose answers go to `handler` until it is dropped."""
        request = next(self._ids)
        self._handlers[request] = handler
        return request

    def drop(self, request: int) -> None:
        self._handlers.pop(request, None)

    def claim_confirms(self, producer: bytes, handler: Handler) -> None:
        self._confirmed[producer] = handler

    def drop_confirms(self, producer: bytes) -> None:
        self._confirmed.pop(producer, None)

    def send(self, op: str, request: int, fields: Fields, block: Buffer | None = None) -> None:
        """Without a connection nothing is kept: parts send again when there is one. What cannot
        be encoded is refused, as if by the broker: it is nobody else's trouble."""
        if not self.up:
            return
        try:
            self.outbox.append(_wire.encode(op, request, fields, block))
        except Exception as error:  # whatever an encoder raises at what users hand in
            self._unsendable.append((request, f"{op} cannot be encoded: {error!r}"))

    # ---- for the owner of the socket

    def receive(self, frames: _wire.Frames, now: float) -> None:
        try:
            answer = _wire.decode(frames)
            self._dispatch(answer, now)
        except Exception as error:  # nothing that a broker sends may end the connection's thread
            self.damaged += 1
            text = f"an answer of the broker makes no sense and is dropped: {error!r}"
            self.after.append(lambda: log.error("%s", text))

    def _refuse_unsendable(self, now: float) -> None:
        """Not while they are being sent: parts do not expect an answer in between."""
        for _ in range(len(self._unsendable)):
            request, text = self._unsendable.popleft()
            handler = self._handlers.get(request)
            if handler is not None:
                handler(Answer({**UNSENDABLE, "text": text}, []), now)

    def _dispatch(self, answer: Answer, now: float) -> None:
        boot = answer.fields.get("boot")
        if isinstance(boot, int) and boot != self.boot:
            known, self.boot = self.boot, boot
            if known is not None:
                for part in list(self._parts):
                    part.rebooted(now)
        handler: Handler | None
        if answer.fields.get("op") == "confirm":
            handler = self._confirmed.get(answer.fields["producer"])
        else:
            handler = self._handlers.get(answer.fields.get("id", 0))
        if handler is not None:
            handler(answer, now)

    def connected(self, now: float) -> None:
        self.outbox.clear()
        self.up = True
        for part in list(self._parts):
            part.connected(now)

    def disconnected(self) -> None:
        self.outbox.clear()
        self.up = False

    def fail(self, error: LaybyError) -> None:
        """It is over: everybody is told, also when telling one of them goes wrong."""
        self.failure = error
        self.disconnected()
        for part in list(self._parts):
            try:
                part.fail(error)
            except Exception:
                self.after.append(partial(log.exception, "telling the end of a connection"))

    def advance(self, now: float) -> float:
        """Let every part do what is due; returns the next deadline."""
        for part in list(self._parts):
            part.advance(now)
        if self._unsendable:
            self._refuse_unsendable(now)
            return now  # what they do about it is due at once
        return min((part.deadline() for part in self._parts), default=NEVER)

    def run_after(self) -> None:
        """Calls into users' code and logs: never under a lock."""
        while True:
            try:
                call = self.after.popleft()
            except IndexError:  # another thread may be at it, once the I/O thread has ended
                return
            try:
                call()
            except Exception:
                log.exception("a callback raised")
