"""Single questions and their answers: hello, read, and whatever an operator asks.

Owns the requests that wait for one answer each. Must never know what they mean, but for one thing:
which ones may be sent twice, whatever others did between the two.
"""

from __future__ import annotations

from collections.abc import Callable

from layby._block import Buffer
from layby._link import NEVER, Link
from layby._wire import Answer, Fields
from layby.errors import LaybyError, OutcomeUnknown, TimedOut, Unreachable, refused

Done = Callable[[Answer | LaybyError], object]

SAFE = frozenset(
    {"hello", "read", "goodbye", "status", "topics", "groups", "group", "parked"},
)
"""A lost connection just sends these again. Nothing else: a `topic_delete` that was done, and comes
once more, takes what was pushed and confirmed since with it; so with a group's progress, with the
settings of whoever came later, and with messages that failed again since."""


class _Request:
    __slots__ = ("block", "deadline", "done", "fields", "id", "op", "sent")

    def __init__(
        self, op: str, fields: Fields, block: Buffer | None, deadline: float, done: Done
    ) -> None:
        self.op = op
        self.fields = fields
        self.block = block
        self.deadline = deadline
        self.done = done
        self.sent = False
        self.id = 0


class Requests:
    def __init__(self, link: Link) -> None:
        self._link = link
        self._waiting: dict[int, _Request] = {}
        self.closed = False
        link.join(self)

    def ask(
        self, op: str, fields: Fields, deadline: float, done: Done, block: Buffer | None = None
    ) -> int:
        """`done` gets the answer, or the error; it must not block. Raises what has ended the
        connection: nobody would be there to call it."""
        if self._link.failure is not None:
            raise self._link.failure
        request = _Request(op, fields, block, deadline, done)
        request.id = self._link.claim(lambda answer, now: self._finish(request, _judged(answer)))
        self._waiting[request.id] = request
        self._send(request)
        return request.id

    def forget(self, request: int) -> None:
        """Nobody waits for this answer any more."""
        self._waiting.pop(request, None)
        self._link.drop(request)

    def _send(self, request: _Request) -> None:
        if self._link.up:
            request.sent = True
            self._link.send(request.op, request.id, request.fields, request.block)

    def _finish(self, request: _Request, result: Answer | LaybyError) -> None:
        self.forget(request.id)
        request.done(result)

    def advance(self, now: float) -> None:
        if now >= self.deadline():
            for request in list(self._waiting.values()):
                if now >= request.deadline:
                    self._finish(request, _overdue(request))

    def deadline(self) -> float:
        return min((request.deadline for request in self._waiting.values()), default=NEVER)

    def connected(self, now: float) -> None:
        for request in list(self._waiting.values()):
            if request.sent and request.op not in SAFE:
                text = f"the connection was lost while {request.op} was under way"
                self._finish(request, OutcomeUnknown(text))
            else:
                self._send(request)

    def rebooted(self, now: float) -> None:
        """Nothing: an unanswered request is sent again when the connection is back."""

    def fail(self, error: LaybyError) -> None:
        for request in list(self._waiting.values()):
            self._finish(request, error)


def _judged(answer: Answer) -> Answer | LaybyError:
    return answer if answer.ok else refused(answer.fields)


def _overdue(request: _Request) -> LaybyError:
    if not request.sent:
        return Unreachable(f"no connection to the broker for {request.op}")
    if request.op in SAFE:
        return TimedOut(f"no answer to {request.op} in time")
    return OutcomeUnknown(f"no answer to {request.op} in time: it may have been done")
