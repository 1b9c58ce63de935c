"""Which topics a pattern takes in.

Owns the one rule of matching. Must never know which names are legal or which topics exist.
Strangers write patterns, so this costs little however many stars there are; a regular expression
of twenty `.*` runs for hours on two hundred equal letters.
"""

from __future__ import annotations

from collections.abc import Callable

RESERVED = "layby."
"""Topics that begin so are meant only by patterns that begin so."""


def match(pattern: str, topic: str) -> bool:
    """Whether the pattern (or plain name) takes in the topic.

    A star is any run of characters, dots included, and the empty one.
    """
    return matcher(pattern)(topic)


def matcher(pattern: str) -> Callable[[str], bool]:
    """`match` for one pattern and many topics."""
    if "*" not in pattern:
        return pattern.__eq__
    head, *middle, tail = pattern.split("*")

    def matches(topic: str) -> bool:
        if topic.startswith(RESERVED) and not pattern.startswith(RESERVED):
            return False
        at, end = len(head), len(topic) - len(tail)
        if end < at or not topic.startswith(head) or not topic.endswith(tail):
            return False
        for piece in middle:
            found = topic.find(piece, at, end)
            if found < 0:
                return False
            at = found + len(piece)
        return True

    return matches
