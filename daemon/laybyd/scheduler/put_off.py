"""Requests for which a turn had no time: each connection's in their order, the connections in turn.

Owns the queues, and whose turn it is. Must never know what a request does or when a turn is over.

A request may cost a tenth of a second (thousands of ranges, each a message of its own). Whoever
sends sixty of them waits for his own; everybody else waits for one. A connection whose request took
longer than its share pays with the rounds that follow.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

from laybyd.core.events import Operate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from laybyd.core.events import Event

SHARE_US = 5_000
"""Of one connection in each round."""


class PutOff:
    """Used by whoever has the turn. `groups` are those that a request in it is about."""

    def __init__(self) -> None:
        self._queues: dict[bytes, deque[Event]] = {}
        self._left_us: dict[bytes, int] = {}
        self._order: deque[bytes] = deque()
        self.groups: Counter[str] = Counter()

    def __bool__(self) -> bool:
        return bool(self._order)

    def take(self, events: Iterable[Event], *, all_of_them: bool) -> list[Event]:
        """Take requests of connections that wait already (or of all). Gives the other events, in
        their order: what is no request overtakes requests, as if those had come later."""
        others: list[Event] = []
        for event in events:
            peer = _peer_of(event)
            if peer is None or not (all_of_them or peer in self._queues):
                others.append(event)
                continue
            if peer not in self._queues:
                self._queues[peer] = deque()
                self._left_us[peer] = 0
                self._order.append(peer)
            self._queues[peer].append(event)
            if (group := _group_of(event)) is not None:
                self.groups[group] += 1
        return others

    def next(self) -> Event:
        """The next request of whose turn it is; call `spent` when it is done."""
        while self._left_us[self._order[0]] <= 0:
            self._left_us[self._order[0]] += SHARE_US
            self._order.rotate(-1)
        return self._queues[self._order[0]].popleft()

    def spent(self, event: Event, took_us: int) -> None:
        peer = self._order[0]
        self._left_us[peer] -= took_us
        if (group := _group_of(event)) is not None:
            self.groups[group] -= 1
            if not self.groups[group]:
                del self.groups[group]
        if not self._queues[peer]:
            self._order.popleft()
            del self._queues[peer], self._left_us[peer]


def _peer_of(event: Event) -> bytes | None:
    """The connection that an event is about; None of what is about none."""
    caller = getattr(event, "caller", None)
    return None if caller is None else caller.peer


def _group_of(event: Event) -> str | None:
    if isinstance(event, Operate):
        named = event.args.get("group")
        return named if isinstance(named, str) else None
    return getattr(event, "group", None)
