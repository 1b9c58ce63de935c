"""Messages as users see them. Owns the attributes and the outcome methods; the rules behind them
are the desk's. Must never know polls, threads or sockets."""

from __future__ import annotations

from types import TracebackType

from layby._desk import Desk
from layby._given import as_delay_ms
from layby._lease import ACK, DEFER, FAIL, REJECT, RELEASE, Failure, Piece, Run
from layby._units import Seconds

__all__ = ["Failure", "Message", "Record"]


class Record:
    """A message as it stands in the log: what `read` gives."""

    __slots__ = ("_index", "_piece")

    def __init__(self, piece: Piece, index: int) -> None:
        self._piece = piece
        self._index = index

    @property
    def data(self) -> bytes:
        return self._piece.block.body(self._index)

    @property
    def text(self) -> str:
        """The data as UTF-8, bad bytes replaced."""
        return self.data.decode(errors="replace")

    @property
    def topic(self) -> str:
        return self._piece.topic

    @property
    def position(self) -> int:
        """Its place in the broker's log: unique, never reused."""
        return self._piece.position(self._index)

    @property
    def key(self) -> bytes | None:
        return self._piece.block.key(self._index)

    @property
    def headers(self) -> dict[str, str]:
        return self._piece.block.headers(self._index)

    @property
    def timestamp(self) -> float:
        """Seconds since 1970: the producer's time, or when it was appended."""
        return self._piece.time_us(self._index) / 1e6

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.topic} {self.position}>"


class Message(Record):
    """A message to work on. `with message:` gives it its outcome at the end of the block; outcome
    methods note and return, the outcome leaves within 5 ms."""

    __slots__ = ("_desk", "_run")

    def __init__(self, desk: Desk, run: Run, index: int) -> None:
        self._piece = run.lease
        self._index = index
        self._desk = desk
        self._run = run

    @property
    def attempts(self) -> int:
        """Counted failures before this delivery."""
        return self._run.lease.attempts(self._index)

    @property
    def deliveries(self) -> int:
        """How often the broker handed it out since its start, this time included."""
        return self._run.lease.deliveries(self._index)

    @property
    def lane(self) -> str:
        """ "live", or "deferred" when it failed or was late before."""
        return self._run.lease.lane

    @property
    def history(self) -> list[Failure]:
        """Its last failures, oldest first."""
        return self._run.lease.history(self._index)

    @property
    def alone(self) -> bool:
        """It is one of several suspects and travels by itself."""
        return self._run.lease.alone

    @property
    def grant(self) -> int:
        """Numbers what the broker handed out to the group since its start: tells the order."""
        return self._run.lease.grant

    @property
    def boot(self) -> int:
        """Which start of the broker handed it out: `grant` counts anew in each."""
        return self._run.lease.boot

    def ack(self) -> None:
        """Done; never given to this group again."""
        self._desk.settle(self._run, self._index, ACK)

    def fail(self, reason: str = "") -> None:
        """Not done: to the defer queue, counted; dead when the attempts are used up."""
        self._desk.settle(self._run, self._index, FAIL, reason)

    def defer(self, delay: Seconds = 0.0, reason: str = "") -> None:
        """Later, by 366 days at most: to the defer queue, not counted."""
        self._desk.settle(self._run, self._index, DEFER, reason, as_delay_ms(delay))

    def release(self) -> None:
        """Not now, not here: back to the front of its lane, not counted."""
        self._desk.settle(self._run, self._index, RELEASE)

    def reject(self, reason: str = "") -> None:
        """Never: straight to the dead messages."""
        self._desk.settle(self._run, self._index, REJECT, reason)

    def extend(self, seconds: Seconds) -> None:
        """This one needs so much more time."""
        self._desk.extend(self._run, self._index, seconds)

    def __enter__(self) -> Message:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        return self._desk.leave(self._run, self._index, error)
