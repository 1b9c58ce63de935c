"""Ending on a signal: the first asks to stop, the second insists.

Owns SIGINT and SIGTERM for as long as a verb runs that has something to hand back. Must never
know what is handed back.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Which signal asked for the end, if any did."""

    def __init__(self, ask: Callable[[], object], again: bool) -> None:
        self.signal = 0
        self._ask = ask
        self._again = again

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.signal and not self._again:
            raise KeyboardInterrupt
        self.signal = number
        self._ask()

    @property
    def status(self) -> int:
        """The shell's exit code for an end by this signal."""
        return 128 + self.signal if self.signal else 0


@contextmanager
def stopping(ask: Callable[[], object], again: bool = False) -> Iterator[Stop]:
    """`ask` must be safe in a signal handler: a flag, a byte in a pipe. With `again` it is called
    at each signal; else the second raises KeyboardInterrupt."""
    stop = Stop(ask, again)
    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
