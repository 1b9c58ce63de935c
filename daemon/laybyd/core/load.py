"""How busy a group's handlers are, and how much handler time deferred work may cost a busy group.

Owns the two measurements behind the idle rules. Must never know what is decided by them.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from laybyd.core.sessions import Session

WINDOW_US = 2_000_000
SLOT_US = 100_000
ROUND_UP = 0.2
"""Need is the mean rounded up from this much over; it falls only when the mean is this much lower
than where it rose."""
PPM = 1_000_000


class Load:
    """The mean number of handlers on live work over the last two seconds."""

    def __init__(self, now: int) -> None:
        self._value = 0
        self._since = now
        self._began = now
        self._slots: deque[tuple[int, int]] = deque()
        self._sum = 0
        self._need = 0

    def note(self, session: Session, now: int) -> None:
        """What the session holds or how many of its handlers are idle has changed."""
        busy = session.handlers_on_live()
        if busy != session.busy:
            self._advance(now)
            self._value += busy - session.busy
            session.busy = busy

    def mean(self, now: int) -> float:
        """Over whole slots, so that what lies half outside does not blur it."""
        self._advance(now)
        start = max(self._began, _oldest_slot(now) * SLOT_US)
        return self._sum / max(1, now - start)

    def need(self, now: int) -> int:
        """Handlers that live needs: rounded up, with hysteresis."""
        mean = self.mean(now)
        while mean > self._need + ROUND_UP:
            self._need += 1
        while self._need and mean <= self._need - 1:
            self._need -= 1
        return self._need

    def _advance(self, now: int) -> None:
        """Spread the value over the slots since the last time; forget what is too old."""
        start = max(self._since, now - WINDOW_US)
        while start < now:
            end = min(now, (start // SLOT_US + 1) * SLOT_US)
            self._add(start // SLOT_US, self._value * (end - start))
            start = end
        self._since = max(self._since, now)
        oldest = _oldest_slot(now)
        while self._slots and self._slots[0][0] < oldest:
            self._sum -= self._slots.popleft()[1]

    def _add(self, slot: int, work: int) -> None:
        if not work:
            return
        if self._slots and self._slots[-1][0] == slot:
            work_before = self._slots.pop()[1]
            self._slots.append((slot, work_before + work))
        else:
            self._slots.append((slot, work))
        self._sum += work


def _oldest_slot(now: int) -> int:
    return (now - WINDOW_US) // SLOT_US + 1


class Allowance:
    """A token bucket of handler time: a share of all handlers' time flows in, deferred leases of a
    busy group pay what they really took."""

    def __init__(self, now: int, full_us: int) -> None:
        self._tokens = float(full_us)
        self._since = now

    def tokens(self, now: int, share_ppm: int, handlers: int, full_us: int) -> float:
        earned = (now - self._since) * share_ppm / PPM * handlers
        self._since = now
        self._tokens = min(float(full_us), self._tokens + earned)
        return self._tokens

    def pay(self, took_us: int) -> None:
        self._tokens -= took_us
