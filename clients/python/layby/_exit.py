"""Clients that nobody closed: each gets two seconds at the interpreter's end. Owns their list."""

from __future__ import annotations

import atexit
import logging
import weakref
from typing import Protocol

log = logging.getLogger("layby")

FLUSH_S = 2.0


class Open(Protocol):
    def flush_at_exit(self, seconds: float) -> int:
        """Send what can be sent; the messages that are still not confirmed."""


_open: weakref.WeakSet[Open] = weakref.WeakSet()

opened = _open.add
closed = _open.discard


@atexit.register
def _flush() -> None:
    for client in list(_open):
        left = client.flush_at_exit(FLUSH_S)
        if left:
            log.warning("%r was left open; %d messages are not confirmed", client, left)
