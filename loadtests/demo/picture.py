"""What has happened so far, as the records tell it while they grow.

Owns the running totals that are shown. Must never judge: that is the audit's, from the whole
records, at the end.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from loadtests.latency import Latency, latency
from tests.audit.tape import now_us

if TYPE_CHECKING:
    from collections.abc import Iterable

RECENT_US = 2_000_000


class Consumer:
    def __init__(self) -> None:
        self.state = "starting"
        self.acked = 0
        self.failed = 0
        self.drained = 0


class Picture:
    """`take` the news of the records; the attributes are what a screen shows."""

    def __init__(self, lines: int, max_attempts: int) -> None:
        self.lines = lines
        self.confirmed = 0
        self.boots: set[int] = set()
        self.consumers: dict[str, Consumer] = {}
        self.ended = False
        self.open: set[int] = set()
        self.live_us = 0
        self.period_us = 1
        self.history = 0
        self._max_attempts = max_attempts
        self._waits: deque[tuple[int, int]] = deque()
        self._intended: dict[int, int] = {}
        self._attempts: dict[int, int] = {}
        self._settled: set[int] = set()
        self._deferred: set[int] = set()
        self.dead: set[int] = set()

    @property
    def acked(self) -> int:
        return len(self._settled) - len(self.dead)

    @property
    def set_aside(self) -> int:
        """Failed, and neither dead nor done since."""
        return len(self._deferred)

    @property
    def sent(self) -> int:
        """Lines that are due to have been sent by now."""
        if not self.live_us:
            return 0
        live = max(0, (now_us() - self.live_us) // self.period_us + 1)
        return min(self.lines, self.history + live)

    @property
    def waiting(self) -> int:
        """Confirmed and not begun; acks may be heard of before confirms."""
        return max(0, self.confirmed - len(self._settled) - len(self._deferred))

    @property
    def complete(self) -> bool:
        """Every line sent, and seen acked or failing for the last time."""
        return self.ended and len(self._settled) >= self.lines

    def recent(self) -> Latency:
        """Intended send to handler start of live lines, over the last two seconds."""
        since = now_us() - RECENT_US
        while self._waits and self._waits[0][0] < since:
            self._waits.popleft()
        return latency(wait for _, wait in self._waits)

    def take(self, news: Iterable[tuple[str, dict[str, Any]]]) -> None:
        for who, note in news:
            if who == "producer":
                self._take_producer(note)
            else:
                self._take_consumer(self.consumers.setdefault(who, Consumer()), note)

    def _take_producer(self, note: dict[str, Any]) -> None:
        if note["what"] == "start":
            self.live_us, self.period_us = note["live_us"], note["period_us"]
            self.history = note["history"]
        elif note["what"] == "confirmed":
            self.confirmed += len(note["lines"])
            for offset, line in enumerate(note["lines"]):
                if line >= self.history:
                    self._intended[note["first"] + offset] = (
                        self.live_us + (line - self.history) * self.period_us
                    )
        elif note["what"] == "end":
            self.ended = True

    def _take_consumer(self, consumer: Consumer, note: dict[str, Any]) -> None:
        what = note["what"]
        if what in ("joined", "left"):
            consumer.state = "working" if what == "joined" else "left"
            return
        position = note["position"]
        if what == "begun":
            self._begun(consumer, note)
        elif what == "ack":
            consumer.acked += 1
            self._settled.add(position)
            self._deferred.discard(position)
        else:
            consumer.failed += 1
            self._failed(position)

    def _begun(self, consumer: Consumer, note: dict[str, Any]) -> None:
        position = note["position"]
        self.boots.add(note["boot"])
        self._attempts[position] = note["attempts"]
        if note["lane"] != "live":
            consumer.drained += 1
        elif (intended := self._intended.pop(position, None)) is not None:
            self._waits.append((note["at"], note["at"] - intended))

    def _failed(self, position: int) -> None:
        if self._attempts[position] + 1 < self._max_attempts:
            self._deferred.add(position)
        else:
            self._deferred.discard(position)
            self._settled.add(position)
            self.dead.add(position)
