"""Reading without a group, without threads or sockets. Owns where to go on and what came.

Must never know groups, leases, locks or event loops.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from layby._fields import entries, number, ranges, text
from layby._lease import Piece
from layby._link import NEVER
from layby._requests import Requests
from layby._wire import Answer
from layby.errors import Damaged, LaybyError, TimedOut
from layby.message import Record

LIMIT = 10_000
BYTES = 1 << 20
WAIT_S = 30.0
GRACE_S = 2.0


class Reading:
    """One answer is read ahead of the loop, not more."""

    def __init__(
        self,
        requests: Requests,
        topics: tuple[str, ...],
        start: object,
        until: int | None,
        notify: Callable[[], object],
    ) -> None:
        self.failure: LaybyError | None = None
        self.done = False
        self.retry_at = NEVER
        self._requests = requests
        self._topics = list(topics)
        self._next = start
        self._until = until
        self._notify = notify
        self._pieces: deque[tuple[Piece, int]] = deque()
        self._request = 0

    def ask(self, now: float) -> None:
        """For more, unless that is under way or all is there."""
        if self._request or self.done or self.failure is not None or len(self._pieces) > 1:
            return
        fields: dict[str, Any] = {
            "topics": self._topics,
            "from": self._next,
            "limit": LIMIT,
            "bytes": BYTES,
            "wait_ms": int(WAIT_S * 1e3) if self._is_placed else 0,
        }
        if self._until is not None:
            fields["until"] = self._until
        self._request = self._requests.ask("read", fields, now + WAIT_S + GRACE_S, self._answered)

    @property
    def _is_placed(self) -> bool:
        """`latest`, and a time to come, are wherever the log ends when they are asked for. Asked
        for once more, over a new connection, they would be behind what came meanwhile; so the
        first question does not wait, and every other is from a position."""
        return isinstance(self._next, int) or self._next == "earliest"

    def take(self) -> Record | None:
        while self._pieces:
            piece, index = self._pieces[0]
            if index < piece.messages:
                self._pieces[0] = (piece, index + 1)
                return Record(piece, index)
            self._pieces.popleft()
        return None

    @property
    def ended(self) -> bool:
        """Nothing is left and nothing will come."""
        return self.done and not self._pieces

    def _answered(self, result: Answer | LaybyError) -> None:
        self._request = 0
        if isinstance(result, LaybyError):
            if not isinstance(result, TimedOut):
                self.failure = result
        else:
            try:
                self._take_in(result)
            except (Damaged, ValueError) as error:  # asked again, it would say the same
                self.failure = Damaged(str(error))
        self._notify()

    def _take_in(self, answer: Answer) -> None:
        after = number(answer.fields, "next", low=1)
        found = entries(answer.fields, "blocks")
        pieces = [
            Piece(text(fields, "topic"), ranges(fields), number(fields, "at_us", 0), block)
            for fields, block in zip(found, answer.blocks, strict=True)
        ]
        self._next = after
        self._pieces += [(piece, 0) for piece in pieces]
        if self._until is not None:
            self.done = after >= self._until

    def stop(self) -> None:
        self.done = True
        self._pieces.clear()
        if self._request:
            self._requests.forget(self._request)
            self._request = 0
        self._notify()
