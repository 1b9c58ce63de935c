"""An ordered map of bytes to bytes that can take back what it was told.

Owns the order and the undo notes. Must never know what the bytes mean.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING

from laybyd.store.base import Erase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from laybyd.store.base import Put

Undo = list[tuple[bytes, bytes | None]]
"""Keys with the values they had, in the order they were changed."""


class OrderedMap:
    def __init__(self) -> None:
        self.size = 0
        self._values: dict[bytes, bytes] = {}
        self._keys: list[bytes] = []

    def apply(self, puts: Sequence[Put]) -> Undo:
        undo: Undo = []
        for put in puts:
            if isinstance(put, Erase):
                undo += [(key, self._set(key, None)) for key in self._range(put.first, put.end)]
            else:
                key, value = put
                undo.append((key, self._set(key, value)))
        return undo

    def undo(self, undo: Undo) -> None:
        for key, value in reversed(undo):
            self._set(key, value)

    def read(self, first: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        at = bisect_left(self._keys, first)
        found = []
        for key in self._keys[at : at + limit]:
            if key >= end:
                break
            found.append((key, self._values[key]))
        return found

    def _range(self, first: bytes, end: bytes) -> list[bytes]:
        return self._keys[bisect_left(self._keys, first) : bisect_left(self._keys, end)]

    def _set(self, key: bytes, value: bytes | None) -> bytes | None:
        """Store, or delete with None; gives back what was there."""
        before = self._values.get(key)
        if value is None:
            if before is not None:
                del self._values[key]
                del self._keys[bisect_left(self._keys, key)]
        else:
            if before is None:
                insort(self._keys, key)
            self._values[key] = bytes(value)
        self.size += _weight(key, value) - _weight(key, before)
        return before


def _weight(key: bytes, value: bytes | None) -> int:
    return 0 if value is None else len(key) + len(value)
