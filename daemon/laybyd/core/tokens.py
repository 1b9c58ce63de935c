"""Numbers for what is under way outside the core, and whose each is.

Owns the way back from an answer to who asked. Must never know what was asked.
"""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Tokens(Generic[T]):
    def __init__(self) -> None:
        self.last = 0
        self._owners: dict[int, T] = {}

    def __len__(self) -> int:
        """How many are under way."""
        return len(self._owners)

    def take(self, owner: T) -> int:
        self.last += 1
        self._owners[self.last] = owner
        return self.last

    def back(self, token: int) -> T | None:
        return self._owners.pop(token, None)
