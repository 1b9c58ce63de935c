"""Several messages worked on together. Owns the list and the outcomes for all; the rules behind
them are the desk's. Must never know polls, threads or sockets."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType

from layby._desk import Desk
from layby._given import as_delay_ms
from layby._lease import ACK, DEFER, REJECT, RELEASE, Run
from layby._units import Seconds
from layby.message import Message


class Batch:
    """`with batch:` acks what has no outcome at the end of the block; an Exception fails the rest
    as one range, which the broker splits until the bad message stands alone."""

    __slots__ = ("_desk", "_messages", "_runs")

    def __init__(self, desk: Desk, runs: list[Run]) -> None:
        self._desk = desk
        self._runs = runs
        self._messages: list[Message] | None = None

    @property
    def messages(self) -> list[Message]:
        if self._messages is None:
            desk = self._desk
            self._messages = [
                Message(desk, run, index)
                for run in self._runs
                for index in range(run.first, run.after)
            ]
        return self._messages

    @property
    def data(self) -> list[bytes]:
        """The bodies alone: much cheaper than the messages when nothing else is needed."""
        found: list[bytes] = []
        for run in self._runs:
            found += run.lease.block.bodies(run.first, run.after)
        return found

    def __len__(self) -> int:
        return sum(run.after - run.first for run in self._runs)

    def __iter__(self) -> Iterator[Message]:
        return iter(self.messages)

    def ack(self) -> None:
        """Done, each that has no outcome yet. So with the others here."""
        self._desk.settle_rest(self._runs, ACK)

    def fail(self, reason: str = "") -> None:
        """One of these is bad: split by the broker, not counted."""
        self._desk.fail_rest(self._runs, reason)

    def defer(self, delay: Seconds = 0.0, reason: str = "") -> None:
        self._desk.settle_rest(self._runs, DEFER, reason, as_delay_ms(delay))

    def release(self) -> None:
        self._desk.settle_rest(self._runs, RELEASE)

    def reject(self, reason: str = "") -> None:
        self._desk.settle_rest(self._runs, REJECT, reason)

    def __enter__(self) -> Batch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        return self._desk.leave_batch(self._runs, error)

    def __repr__(self) -> str:
        return f"<Batch of {len(self)}>"
