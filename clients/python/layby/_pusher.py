"""Who pushes under which producer id, and how much may be unconfirmed.

Owns the current sequence, the ones left behind (they still wait for what is under way), the choice
of a new id, and the bound on bytes. Must never know futures, threads or sockets.
"""

from __future__ import annotations

from functools import partial

from layby._link import Link
from layby._sequence import Done, Limits, Lone, Number, Push, Sequence
from layby.errors import Closed, LaybyError, OutcomeUnknown


class Pusher:
    """A part of the link. Never raises: each push ends with a position or an error in `done`."""

    def __init__(self, link: Link, limits: Limits) -> None:
        self.limits = limits
        self._link = link
        self._left: list[Sequence] = []
        self._current = self._fresh()
        link.join(self)

    def _fresh(self) -> Sequence:
        return Sequence(self._link, self.limits, self._move)

    @property
    def size(self) -> int:
        """Bytes unconfirmed, sent or not."""
        return self._current.bytes + sum(sequence.bytes for sequence in self._left)

    @property
    def pushes(self) -> int:
        return len(self._current.window) + sum(len(left.window) for left in self._left)

    @property
    def messages(self) -> int:
        windows = (sequence.window.values() for sequence in (self._current, *self._left))
        return sum(push.messages for window in windows for push in window)

    @property
    def has_room(self) -> bool:
        return self.size < self.limits.bytes and self.pushes < self.limits.pushes

    def add(
        self,
        topic: str,
        body: bytes | Lone,
        messages: int,
        size: int,
        deadline: float,
        done: Done,
    ) -> Push:
        push = Push(topic, body, messages, size, deadline, done)
        self._current.add(push)
        return push

    def adopt(
        self, number: Number, topic: str, body: Lone, size: int, deadline: float, done: Done
    ) -> None:
        """Go on with a push that was sent under a number of somebody else's and not confirmed."""
        sequence = Sequence(self._link, self.limits, self._move, number)
        push = Push(topic, body, 1, size, deadline, done)
        push.uncertain = True
        sequence.add(push)
        self._left.append(sequence)

    def add_again(self, error: OutcomeUnknown, deadline: float, done: Done) -> bool:
        """Resend what ended with this error; False when it was resent before."""
        sequence, push = error._sequence, error._push
        if sequence is None or push is None or not sequence.has_ended(push):
            return False
        sequence.revive(push, deadline, done)
        if sequence is not self._current and sequence not in self._left:
            self._left.append(sequence)
        return True

    def _move(self, sequence: Sequence, pushes: list[Push]) -> None:
        """These are surely not stored, and never will be under the id they had."""
        if sequence is self._current:
            self._leave()
        for push in pushes:
            push.outstanding = 0
            push.uncertain = False
            self._current.add(push)

    def _leave(self) -> None:
        if self._current.window:
            self._left.append(self._current)
        self._current = self._fresh()

    # ---- a part of the link

    def advance(self, now: float) -> None:
        for sequence in list(self._left):
            sequence.expire(now)
            sequence.pump(now)
            if not sequence.window:
                self._left.remove(sequence)
        current = self._current
        if current.expire(now) and current is self._current:
            self._leave()
        self._current.pump(now)

    def deadline(self) -> float:
        if not self._left:
            return self._current.deadline()
        return min(sequence.deadline() for sequence in (self._current, *self._left))

    def connected(self, now: float) -> None:
        for sequence in (self._current, *self._left):
            sequence.connected()

    def rebooted(self, now: float) -> None:
        """Nothing: numbers outlive a restart of the broker."""

    def fail(self, error: LaybyError) -> None:
        """Give up what is not confirmed."""
        for sequence in (self._current, *self._left):
            sequence.fail_all(partial(_abandoned, error))

    def close(self) -> None:
        self.fail(Closed("the client was closed"))
        self._link.leave(self)


def _abandoned(error: LaybyError, push: Push) -> LaybyError:
    if push.maybe_stored:
        unknown = OutcomeUnknown(f"the push is not confirmed: {error}")
        unknown.__cause__ = error
        return unknown
    if push.refusal is not None:
        return push.refusal
    closed = Closed(f"the push was not sent: {error}")
    closed.__cause__ = error
    return closed
