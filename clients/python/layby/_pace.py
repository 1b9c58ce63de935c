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
    """Of one message; what was longer ago counts less. `handed_on` is more than 0 for a while after
    a handler came back for more without an outcome: the work goes on elsewhere."""

    __slots__ = ("busy_s", "handed_on", "messages", "weight")

    def __init__(self) -> None:
        self.busy_s = 0.0
        self.messages = 0.0
        self.weight = 0
        self.handed_on = 0

    @property
    def each_s(self) -> float | None:
        return self.busy_s / self.messages if self.messages else None


class Pace:
    def __init__(self) -> None:
        self._units: deque[float] = deque(maxlen=SAMPLES)
        self._live, self._deferred = _Mean(), _Mean()
        self.hand_back_after_s = HAND_BACK_AFTER_S

    def add(self, messages: int, busy_s: float, deferred: bool, done: bool) -> None:
        """A handler was busy so long with so many messages, and came back for more; `done`: with
        their outcomes."""
        self._units.append(busy_s)
        mean = self._deferred if deferred else self._live
        mean.busy_s += busy_s
        mean.messages += messages
        mean.weight += 1
        if mean.weight >= FADE_AT:
            mean.weight //= 2
            mean.busy_s /= 2
            mean.messages /= 2
        if not done:
            mean.handed_on = FADE_AT
        elif mean.handed_on:
            mean.handed_on -= 1

    def told(self) -> dict[str, int]:
        """What a poll says of it: the broker sees the way there and back in its own measure.
        Nothing where messages are handed on: how long they really take is not known here."""
        told = {}
        for name, mean in (("live_us", self._live), ("deferred_us", self._deferred)):
            if mean.each_s is not None and not mean.handed_on:
                told[name] = round(mean.each_s * 1e6)
        return told

    def credit(self, handlers: int) -> int:
        """What so many handlers do before a hand back is due; 0 before anything is measured. What
        is fetched ahead is live."""
        each_s = self._live.each_s or self._deferred.each_s
        if each_s is None:
            return 0
        return min(int(handlers * self.hand_back_after_s / max(each_s, 1e-7)), CREDIT_MAX)

    def slow_s(self) -> float:
        """From here on a handler is slow, and what waits behind it is better off elsewhere."""
        if not self._units:
            return self.hand_back_after_s
        return max(self.hand_back_after_s, SLOW_FACTOR * median(self._units))
