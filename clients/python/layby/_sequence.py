"""One producer id and its numbered pushes: sent in order, confirmed cumulatively.

Owns which push is where: waiting, under way, refused for now, confirmed, ended unknown. Must never
know how messages became a block, who waits for a push, threads or sockets.

The broker takes number `last + 1` only; a refused push refuses all behind it. So a push whose
every sending was refused is surely not stored, and one whose sending was lost with its connection
may be (`uncertain`). A number is never used again for other bytes.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from layby._block import Block
from layby._fields import number, numbers
from layby._link import NEVER, Link
from layby._wire import Answer
from layby.errors import LaybyError, OutcomeUnknown, Refused, Unreachable, refused

GAP_RETRY_S = 0.005

SILENCE_S = 5.0
"""Without a word about what is under way it is sent again: an answer may have been lost."""


class Limits(NamedTuple):
    """What the broker allows (hello names it)."""

    pushes: int = 1_024
    bytes: int = 8 << 20
    max_message: int = 1 << 20
    max_block: int = 2 << 20
    max_messages: int = 65_536


class Lone(NamedTuple):
    """A message that travels in the request map itself."""

    fields: dict[str, Any]


class Number(NamedTuple):
    """What a push is known by to the broker."""

    producer: bytes
    seq: int


Done = Callable[[int | LaybyError], object]


class Push:
    """One numbered push: a block, or a lone message."""

    __slots__ = (
        "body", "deadline", "done", "id", "messages", "outstanding", "refusal", "seq", "size",
        "topic", "uncertain",
    )  # fmt: skip

    def __init__(
        self, topic: str, body: bytes | Lone, messages: int, size: int, deadline: float, done: Done
    ) -> None:
        self.topic = topic
        self.body = body
        self.messages = messages
        self.size = size
        self.deadline = deadline
        self.done = done
        self.seq = 0
        self.id = 0
        self.outstanding = 0
        self.uncertain = False
        self.refusal: Refused | None = None

    @property
    def maybe_stored(self) -> bool:
        return self.outstanding > 0 or self.uncertain

    def bodies(self) -> list[bytes]:
        if isinstance(self.body, Lone):
            return [self.body.fields["data"]]
        return Block(self.body).bodies(0, self.messages)


class Sequence:
    """`given_up(sequence, pushes)` takes pushes that are surely not stored, but cannot go on under
    this id, because one before them never will."""

    def __init__(
        self,
        link: Link,
        limits: Limits,
        given_up: Callable[[Sequence, list[Push]], object],
        first: Number | None = None,
    ) -> None:
        self.producer, self._next = first or Number(os.urandom(16), 1)
        self.window: dict[int, Push] = {}
        self.bytes = 0
        self._link = link
        self._limits = limits
        self._given_up = given_up
        self._unsent: deque[Push] = deque()
        self._ended: dict[int, Push] = {}
        self._flight = 0
        self._retry_at = 0.0
        self._rewind = False
        self._due = NEVER
        self._silent_at = NEVER
        self._silence_s = SILENCE_S

    # ---- in

    def add(self, push: Push) -> None:
        push.seq = self._next
        self._next += 1
        self._take(push)

    def _take(self, push: Push) -> None:
        if not self.window:
            self._link.claim_confirms(self.producer, self._confirmed)
        push.id = self._link.claim(partial(self._refused, push))
        self.window[push.seq] = push
        self.bytes += push.size
        self._due = min(self._due, push.deadline)
        self._unsent.append(push)

    def revive(self, push: Push, deadline: float, done: Done) -> None:
        """Send an ended push and all unconfirmed before it again, under their old numbers."""
        for seq in sorted(self._ended):
            if seq > push.seq:
                break
            again = self._ended.pop(seq)
            again.deadline = deadline
            again.done = done if again is push else _nobody
            self._take(again)
        self.window = dict(sorted(self.window.items()))
        self._rewind = True
        self._retry_at = 0.0

    def has_ended(self, push: Push) -> bool:
        return self._ended.get(push.seq) is push

    # ---- out

    def pump(self, now: float) -> None:
        """Send what may be sent."""
        if now >= self._silent_at and self._link.up:
            self._break_silence()
        if self._rewind and now >= self._retry_at:
            self._rewind = False
            self._unsent = deque(self.window.values())
        if self._rewind or not self._link.up:
            return
        unsent = self._unsent
        while unsent and self._fits(unsent[0]):
            push = unsent.popleft()
            if not push.outstanding and self.window.get(push.seq) is push:
                self._send(push)
                self._silent_at = min(self._silent_at, now + self._silence_s)

    def _fits(self, push: Push) -> bool:
        if not self._flight:
            return True
        limits = self._limits
        return self._flight < limits.pushes and self._link.flight_bytes + push.size <= limits.bytes

    def _send(self, push: Push) -> None:
        self._flight += 1
        self._link.flight_bytes += push.size
        push.outstanding += 1
        fields = {"topic": push.topic, "producer": self.producer, "seq": push.seq}
        if isinstance(push.body, Lone):
            self._link.send("push", push.id, {**fields, **push.body.fields})
        else:
            self._link.send("push", push.id, fields, push.body)

    def connected(self) -> None:
        """What is under way may be lost: it is sent again, under the same numbers."""
        self._silent_at = NEVER
        for push in self.window.values():
            push.uncertain = push.maybe_stored
            if push.outstanding:
                push.outstanding = 0
                self._link.flight_bytes -= push.size
        self._flight = 0
        self._rewind = True
        self._retry_at = 0.0

    # ---- answers

    def _spoken(self, now: float) -> None:
        self._silence_s = SILENCE_S
        self._silent_at = now + SILENCE_S if self._flight else NEVER

    def _break_silence(self) -> None:
        """Each time only after twice the patience."""
        self._silence_s *= 2
        self.connected()

    def _confirmed(self, answer: Answer, now: float) -> None:
        first = number(answer.fields, "from", low=1)
        last = number(answer.fields, "upto", low=first)
        positions = numbers(answer.fields, "first", last - first + 1)
        for seq, position in enumerate(positions, first):
            push = self.window.get(seq)
            if push is not None:
                self._remove(push)
                push.done(position)
        self._spoken(now)
        self._settle_down()

    def _refused(self, push: Push, answer: Answer, now: float) -> None:
        if answer.ok or not push.outstanding:
            return
        expected = number(answer.fields, "expected", push.seq)
        push.outstanding = 0
        self._flight -= 1
        self._link.flight_bytes -= push.size
        self._spoken(now)
        self._judge(push, answer, expected, now)

    def _judge(self, push: Push, answer: Answer, expected: int, now: float) -> None:
        refusal = refused(answer.fields)
        if refusal.code == "seq_gap":
            if expected < next(iter(self.window)):
                self._forgotten()
            elif not self._rewind:
                self._again(now + GAP_RETRY_S)
        elif refusal.retryable:
            push.refusal = refusal
            self._again(now + refusal.retry_s)
        elif push.uncertain and "expected" not in answer.fields:
            behind = [other for other in self.window.values() if other.seq >= push.seq]
            self._end(behind, f"{refusal}; but an earlier sending of it may have been stored")
            self._given_up(self, [])
        else:
            self._fail_for_good(push, refusal)

    def _again(self, when: float) -> None:
        self._rewind = True
        self._retry_at = max(self._retry_at, when)

    def _fail_for_good(self, push: Push, error: LaybyError) -> None:
        """`push` is surely not stored and never will be, so nor is what follows it here."""
        behind = [other for other in self.window.values() if other.seq > push.seq]
        for other in (push, *behind):
            self._remove(other)
        push.done(error)
        self._given_up(self, behind)
        self._settle_down()

    def _forgotten(self) -> None:
        """The broker does not know what it confirmed to us (another store, or a long silence):
        under this id nothing can go on. What may be in the store it knew ends unknown."""
        pushes = list(self.window.values())
        sure = next((i for i, push in enumerate(pushes) if push.uncertain), len(pushes))
        for push in pushes[:sure]:
            self._remove(push)
        self._given_up(self, pushes[:sure])
        self._end(pushes[sure:], "the broker no longer knows this producer")

    # ---- time-outs

    def deadline(self) -> float:
        if not self._link.up:
            return self._due
        return min(self._due, self._silent_at, self._retry_at if self._rewind else NEVER)

    def expire(self, now: float) -> bool:
        """End what is overdue; whether anything ended, so that this id must be left."""
        if now < self._due:
            return False
        late = next((push for push in self.window.values() if now >= push.deadline), None)
        if late is None:
            self._due = min((p.deadline for p in self.window.values()), default=NEVER)
            return False
        if late.maybe_stored:
            behind = [push for push in self.window.values() if push.seq >= late.seq]
            self._end(behind, "a push was not confirmed in time: it may be stored or not")
        else:
            self._fail_for_good(late, late.refusal or Unreachable("the broker was not reached"))
        return True

    def _end(self, pushes: list[Push], text: str) -> None:
        for push in pushes:
            self._remove(push)
            self._ended[push.seq] = push
            push.uncertain = push.maybe_stored
            push.outstanding = 0
        for push in pushes:
            push.done(OutcomeUnknown(text, sequence=self, push=push))
        self._settle_down()

    def fail_all(self, error: Callable[[Push], LaybyError]) -> None:
        pushes = list(self.window.values())
        for push in pushes:
            self._remove(push)
            push.done(error(push))
        self._settle_down()

    # ---- books

    def _remove(self, push: Push) -> None:
        del self.window[push.seq]
        self._link.drop(push.id)
        self.bytes -= push.size
        if push.outstanding:
            self._flight -= 1
            self._link.flight_bytes -= push.size

    def _settle_down(self) -> None:
        """An empty window hears nothing and has nothing to do."""
        if not self.window:
            self._link.drop_confirms(self.producer)
            self._due = self._silent_at = NEVER
            self._rewind = False


def _nobody(result: int | LaybyError) -> None:
    """Whoever waited for this push was told before that its outcome is unknown."""
