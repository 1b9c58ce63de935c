"""What the parts of one client share. Owns the list of who is open; knows nothing of their work."""

from __future__ import annotations

from typing import Protocol

from layby._io import IoThread
from layby._link import Link
from layby._requests import Requests
from layby._sequence import Limits
from layby._units import Seconds


class Taker(Protocol):
    """A consumer or a reader."""

    def stop(self) -> None: ...

    def close(self, timeout: Seconds = ...) -> None: ...


class Giver(Protocol):
    """A producer."""

    topic: str

    @property
    def unconfirmed(self) -> int: ...

    def flush(self, timeout: Seconds | None = ...) -> None: ...

    def close(self, timeout: Seconds | None = ...) -> None: ...


class Hub:
    def __init__(self, endpoint: str) -> None:
        self.link = Link()
        self.requests = Requests(self.link)
        self.io = IoThread(endpoint, self.link)
        self.limits = Limits()
        self.takers: set[Taker] = set()
        self.givers: set[Giver] = set()
