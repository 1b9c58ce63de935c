"""How fast handlers are, and so how much to ask for and what counts as slow.

Owns the measured times. Must never know messages, leases, polls or a clock.
"""

from __future__ import annotations

from collections import deque
from statistics import median

HAND_BACK_AFTER_S = 0.030
"""Until the broker has said what the group's setting is."""
SLOW_FACTOR = 8
CREDIT_MAX = 16_384
SAMPLES = 64
FADE_AT = 32


class _Mean:
    """Of one message; what was longer ago counts less."""

    def __init__(self) -> None:
        self._busy_s = 0.0
        self._messages = 0.0
        self._weight = 0

    def add(self, messages: int, busy_s: float) -> None:
        self._busy_s += busy_s
        self._messages += messages
        self._weight += 1
        if self._weight >= FADE_AT:
            self._weight //= 2
            self._busy_s /= 2
            self._messages /= 2

    @property
    def each_s(self) -> float | None:
        return self._busy_s / self._messages if self._messages else None


class Pace:
    def __init__(self) -> None:
        self._units: deque[float] = deque(maxlen=SAMPLES)
        self._mean = _Mean()
        self._live, self._deferred = _Mean(), _Mean()
        self.hand_back_after_s = HAND_BACK_AFTER_S

    def add(self, messages: int, busy_s: float, *, deferred: bool) -> None:
        """A handler was busy so long with so many messages, and came back for more."""
        self._units.append(busy_s)
        self._mean.add(messages, busy_s)
        (self._deferred if deferred else self._live).add(messages, busy_s)

    def told(self) -> dict[str, int]:
        """What a poll says of it: the broker sees the way there and back in its own measure."""
        means = {"live_us": self._live.each_s, "deferred_us": self._deferred.each_s}
        return {name: round(each_s * 1e6) for name, each_s in means.items() if each_s is not None}

    def credit(self, handlers: int) -> int:
        """What so many handlers do before a hand back is due; 0 before anything is measured."""
        each_s = self._mean.each_s
        if each_s is None:
            return 0
        return min(int(handlers * self.hand_back_after_s / max(each_s, 1e-7)), CREDIT_MAX)

    def slow_s(self) -> float:
        """From here on a handler is slow, and what waits behind it is better off elsewhere."""
        if not self._units:
            return self.hand_back_after_s
        return max(self.hand_back_after_s, SLOW_FACTOR * median(self._units))
