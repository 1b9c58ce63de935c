"""News of the store filling up or having room again.

Owns the last word sent, and how soon to look again. Must never know what is done about it.

Room comes back without any step of ours: somebody deletes a file, housekeeping puts the reserve
back. A core that was told of a full store has nothing more committed, so nothing would ever tell it
otherwise; whoever said so looks again until it can say the opposite.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from laybyd.core.events import Space

if TYPE_CHECKING:
    from laybyd.store.base import Room, Store

LOOK_AGAIN_S = 1.0


class SpaceWatch:
    """One per writing thread, used after its own commits and while it waits for the next. Saying
    a thing twice is harmless; that each thread says its own in order keeps the last word true."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._said = (False, False, False, False)

    @property
    def patience_s(self) -> float | None:
        """How long its thread may wait for work before it asks for news; None: for good."""
        return LOOK_AGAIN_S if any(self._said) else None

    def differs(self) -> bool:
        """Whether there would be news. From any thread."""
        return _flags(self._store.room()) != self._said

    def news(self) -> tuple[Space, ...]:
        room = self._store.room()
        flags = _flags(room)
        if flags == self._said:
            return ()
        self._said = flags
        return (
            Space(
                log_full=room.log_full,
                state_full=room.state_full,
                used=room.used,
                limit=room.limit,
                state_spent=room.state_spent,
                disk_full=room.disk_full,
            ),
        )


def _flags(room: Room) -> tuple[bool, bool, bool, bool]:
    return room.log_full, room.state_full, room.state_spent, room.disk_full
