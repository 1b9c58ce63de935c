"""Names of topics, groups and consumers, and patterns over topics.

Owns what is a legal name and what a pattern matches. Must never know whether a topic exists.
"""

from __future__ import annotations

import re
from functools import lru_cache

from laybyd.wire.limits import NAME_BYTES

RESERVED = "layby."
OPEN = "layby.bench."
"""The one reserved beginning that anybody may use."""

RULE = f"1 to {NAME_BYTES} of A-Z a-z 0-9 . _ -"

_NAME = re.compile(rf"[A-Za-z0-9._-]{{1,{NAME_BYTES}}}")
_PATTERN = re.compile(rf"[A-Za-z0-9._*-]{{1,{NAME_BYTES}}}")


@lru_cache(maxsize=4_096)
def why_not_name(name: str) -> str:
    """What is wrong with a name; "" when nothing is."""
    if _NAME.fullmatch(name) is None:
        return f"a name is {RULE}"
    if name.startswith(RESERVED) and not name.startswith(OPEN):
        return f"names beginning with {RESERVED} are reserved (but for {OPEN})"
    return ""


def why_not_pattern(pattern: str) -> str:
    """What is wrong with a topic name or pattern; "" when nothing is."""
    if "*" not in pattern:
        return why_not_name(pattern)
    return "" if _PATTERN.fullmatch(pattern) else f"a pattern is {RULE}, and * for any run of them"


def is_pattern(name: str) -> bool:
    return "*" in name


def match(pattern: str, topic: str) -> bool:
    """Whether the pattern (or plain name) takes in the topic.

    A star is any run of characters, dots included, and the empty one. Reserved topics are only
    for patterns that begin like them.
    """
    if "*" not in pattern:
        return pattern == topic
    if topic.startswith(RESERVED) and not pattern.startswith(RESERVED):
        return False
    return _compiled(pattern)(topic)


class _Matcher:
    """Greedy from the left, piece by piece: linear, whatever the number of stars."""

    def __init__(self, pattern: str) -> None:
        self._head, *self._middle, self._tail = pattern.split("*")

    def __call__(self, topic: str) -> bool:
        at, end = len(self._head), len(topic) - len(self._tail)
        if end < at or not topic.startswith(self._head) or not topic.endswith(self._tail):
            return False
        for piece in self._middle:
            found = topic.find(piece, at, end)
            if found < 0:
                return False
            at = found + len(piece)
        return True


@lru_cache(maxsize=1_024)
def _compiled(pattern: str) -> _Matcher:
    return _Matcher(pattern)
