"""Is a segment of the log whole? Its index adds up, and every block is what its maker summed up.

Owns the questions asked of one segment. Must never know a block's insides nor mend anything.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from laybyd.store.base import Damaged
from laybyd.store.segment import SLACK_BYTES, Segment
from laybyd.store.segments import check_header
from laybyd.store.topics import TopicSums

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from laybyd.core.types import Row
    from laybyd.store.statedb import Meta

PAGE = 1_024


class Found(NamedTuple):
    """What was counted, and what is wrong."""

    sums: Counter[str]
    problems: list[str]


def check_segment(
    path: Path, number: int, block_ok: Callable[[bytes], bool], meta: Meta | None, begin: int
) -> tuple[Found, int]:
    """`begin` is where the segment before it ends, 0 when there is none. Also gives its end."""
    segment = Segment(path, path.stat().st_size + SLACK_BYTES, readonly=True)
    try:
        found = Found(Counter(), [])
        if meta is not None:
            _check_place(segment, number, meta, begin, found.problems)
        _check_blocks(segment, block_ok, found)
        return found, segment.end or begin
    finally:
        segment.close()


def _check_place(
    segment: Segment, number: int, meta: Meta, begin: int, problems: list[str]
) -> None:
    try:
        check_header(segment, number, meta)
    except Damaged as error:
        problems.append(str(error))
    if number < meta.last and not segment.sealed:
        problems.append("it ends before its seal")
    if begin and segment.opening and segment.opening.base != begin:
        problems.append(f"it begins at position {segment.opening.base}, not at {begin}")


def _check_blocks(segment: Segment, block_ok: Callable[[bytes], bool], found: Found) -> None:
    sums = TopicSums()
    at = segment.base
    try:
        while at < segment.end:
            rows = segment.rows(at, PAGE)
            for row in rows:
                if row.first != at:
                    found.problems.append(f"position {at} is followed by {row.first}")
                sums.add(row)
                at = row.last + 1
                _check_block(segment, row, block_ok, found)
    except Damaged as error:
        found.problems.append(str(error))
        return
    if sums.states() != segment.topics.states():
        found.problems.append("its sums of topics are not those of its blocks")


def _check_block(
    segment: Segment, row: Row, block_ok: Callable[[bytes], bool], found: Found
) -> None:
    found.sums["blocks"] += 1
    found.sums["messages"] += row.messages
    try:
        _, body = segment.read(row.first)
    except Damaged as error:
        found.problems.append(str(error))
        return
    if not block_ok(body):
        found.problems.append(
            f"the block at positions {row.first}..{row.last} of topic {row.topic} "
            "fails its checksum"
        )
