"""Ranges of positions: from the command line into requests and back.

Owns their merging and their cutting into requests. Must never know what is done to them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

# A request map holds 4 KiB, a position at most nine bytes.
PAIRS_PER_REQUEST = 150


def merged(pairs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ascending ranges that neither overlap nor touch."""
    result: list[tuple[int, int]] = []
    for first, last in sorted(pairs):
        if result and first <= result[-1][1] + 1:
            result[-1] = result[-1][0], max(last, result[-1][1])
        else:
            result.append((first, last))
    return result


def in_requests(pairs: Sequence[tuple[int, int]]) -> Iterator[list[int]]:
    """Ranges as flat lists, each small enough for one request."""
    for at in range(0, len(pairs), PAIRS_PER_REQUEST):
        yield [end for pair in pairs[at : at + PAIRS_PER_REQUEST] for end in pair]


def pairs_of(flat: Sequence[Any]) -> list[tuple[int, int]]:
    return list(zip(flat[::2], flat[1::2], strict=True))
