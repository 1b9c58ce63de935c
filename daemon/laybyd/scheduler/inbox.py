"""What was put by any thread and waits for one, and the bell that says something does.

Owns the hand-over. Must never know what the items mean. Whoever takes does so alone: an empty
inbox then means that nothing which was put before is still on its way in somebody's hands.

The interpreter's own SimpleQueue will not do: its `get` waits for good when the time it was given,
a few microseconds say, is over before it begins to wait. A lock knows better.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from queue import Empty
from typing import Generic, TypeVar

T = TypeVar("T")


class Inbox(Generic[T]):
    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._bell = threading.Lock()
        self._bell.acquire()

    def __bool__(self) -> bool:
        return bool(self._items)

    # ---- any thread

    def put(self, item: T) -> None:
        """Also from a signal's handler."""
        self._items.append(item)
        self.ring()

    def ring(self) -> None:
        """Whoever waits goes on; or who waits next does not."""
        if self._bell.locked():
            with suppress(RuntimeError):  # somebody else rang it meanwhile
                self._bell.release()

    # ---- the one that takes

    def wait(self, patience_s: float | None) -> None:
        """Until there is something, the bell rings, or so long."""
        if not self._items:
            self._bell.acquire(timeout=-1 if patience_s is None else patience_s)

    def take(self) -> T:
        """The oldest; raises IndexError when there is none. With the last one the bell is still,
        so that nobody is woken for what is taken."""
        item = self._items.popleft()
        if not self._items:
            self._bell.acquire(blocking=False)
        return item

    def get(self, patience_s: float | None = None) -> T:
        """Wait and take. Raises Empty when there was nothing, which without a limit does not
        happen: the bell may have rung for what is taken."""
        while True:
            self.wait(patience_s)
            if self._items:
                return self.take()
            if patience_s is not None:
                raise Empty
