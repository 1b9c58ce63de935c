"""Topics: what is known of each, and which names a pattern means.

Owns the list of topics and their forget marks. Must never know groups' progress.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from laybyd.core.patterns import matcher
from laybyd.core.types import Row, TopicState

CACHE_MAX = 65_536


class Matcher:
    """Several names and patterns; remembers what it was asked."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._matchers = [matcher(one) for one in patterns]
        self._cache: dict[str, bool] = {}

    def __call__(self, topic: str) -> bool:
        known = self._cache.get(topic)
        if known is None:
            if len(self._cache) >= CACHE_MAX:
                self._cache.clear()
            known = self._cache[topic] = any(matches(topic) for matches in self._matchers)
        return known


class Topic:
    __slots__ = ("first", "groups", "last", "last_us", "messages", "name", "size")

    def __init__(self, state: TopicState) -> None:
        self.name = state.name
        self.groups = 0
        self.update(state)

    def update(self, state: TopicState) -> None:
        self.first = state.first
        self.last = state.last
        self.messages = state.messages
        self.size = state.bytes
        self.last_us = state.last_us

    def add(self, row: Row) -> None:
        self.last = row.last
        self.messages += row.messages
        self.size += row.size
        self.last_us = row.at_us


class Topics:
    """`forgotten`: messages of the topic below this position are gone for everybody."""

    def __init__(self, states: Iterable[TopicState], forgotten: Mapping[str, int]) -> None:
        self.forgotten = dict(forgotten)
        self._topics: dict[str, Topic] = {}
        for state in states:
            self._keep(state)

    def __len__(self) -> int:
        return len(self._topics)

    def get(self, name: str) -> Topic | None:
        return self._topics.get(name)

    def __iter__(self) -> Iterator[Topic]:
        return iter(self._topics.values())

    def _keep(self, state: TopicState) -> None:
        below = self.forgotten.get(state.name, 0)
        if state.last < below:
            return
        state = state._replace(first=max(state.first, below))
        known = self._topics.get(state.name)
        if known is None:
            self._topics[state.name] = Topic(state)
        elif state.last < known.last:
            # Rows came since; the next trim tells how many messages are left with them.
            known.first = max(known.first, state.first)
        else:
            known.update(state)

    def add(self, row: Row) -> Topic | None:
        """Take note of a new row; gives the topic when it is new."""
        known = self._topics.get(row.topic)
        if known is not None:
            known.add(row)
        if known is not None or self.is_forgotten(row.topic, row.last):
            return None
        state = TopicState(row.topic, row.first, row.last, row.messages, row.size, row.at_us)
        new = self._topics[row.topic] = Topic(state)
        return new

    def trimmed(self, start: int, states: Iterable[TopicState]) -> None:
        """The log was cut at its beginning: what was left of each topic then."""
        for state in states:
            self._keep(state)
        for topic in list(self):
            topic.first = max(topic.first, start)
            if topic.last < start:
                del self._topics[topic.name]

    def forget(self, name: str, below: int) -> None:
        self.forgotten[name] = below
        del self._topics[name]

    def remember(self, start: int) -> list[str]:
        """The log begins at `start`: topics of which it holds nothing that is forgotten need no
        mark any more."""
        done = [name for name, below in self.forgotten.items() if below <= start]
        for name in done:
            del self.forgotten[name]
        return done

    def is_forgotten(self, topic: str, last: int) -> bool:
        return last < self.forgotten.get(topic, 0)

    def page(self, after: str, limit: int) -> tuple[list[Topic], bool]:
        names = sorted(name for name in self._topics if name > after)
        return [self._topics[name] for name in names[:limit]], len(names) > limit
