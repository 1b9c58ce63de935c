"""News of the store filling up or having room again.

Owns the last word sent. Must never know what is done about it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from laybyd.core.events import Space

if TYPE_CHECKING:
    from laybyd.store.base import Store


class SpaceWatch:
    """One per writing thread, after its own commits; saying a thing twice is harmless."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._said = (False, False, False)

    def news(self) -> tuple[Space, ...]:
        room = self._store.room()
        flags = (room.log_full, room.state_full, room.state_spent)
        if flags == self._said:
            return ()
        self._said = flags
        return (Space(*flags[:2], room.used, room.limit, room.state_spent),)
