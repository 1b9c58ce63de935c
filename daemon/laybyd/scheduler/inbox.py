"""What waits for the core's next turn, and the bell that says something does.

Owns the hand-over from any thread to the one that takes the turn. Must never know what the items
mean. An item is taken only by whoever holds the turn, so that an empty inbox then means that
nothing which came before is still on its way in somebody's hands.
"""

from __future__ import annotations

from collections import deque
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


class Inbox(Generic[T]):
    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._rung = False

    def __bool__(self) -> bool:
        return bool(self._items)

    def put(self, item: T) -> None:
        """From any thread."""
        self._items.append(item)
        self.ring()

    def ring(self) -> None:
        """Whoever waits goes on, or who waits next does not."""
        if not self._rung:
            self._rung = True
            self._bell.put(None)

    def wait(self, patience_s: float | None) -> None:
        """Until the bell rings, or so long. It may have rung for what is taken already."""
        try:
            self._bell.get(timeout=patience_s)
        except Empty:
            return
        self._rung = False

    def take(self) -> T:
        """The oldest; raises IndexError when there is none."""
        return self._items.popleft()
