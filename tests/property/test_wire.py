"""The codec under chance: round trips, equal slices, and bytes that nobody meant."""

import json
import re
from pathlib import Path

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.protocol.source.vector import unhex
from laybyd.core.patterns import match
from laybyd.wire import block as blocks
from laybyd.wire import packed
from laybyd.wire.block import Item
from laybyd.wire.decode import Refusal, decode
from laybyd.wire.limits import Limits

BASE = 1_700_000_000_000_000
LIMITS = Limits()
VALID = [
    [unhex(frame) for frame in vector["frames_hex"]]
    for area in ("requests", "operators", "envelope", "maps")
    for vector in json.loads(
        (Path(__file__).parents[2] / f"clients/protocol/vectors/{area}.json").read_text()
    )["vectors"]
    if "code" not in vector and len(str(vector)) < 4_000
]

headers = st.none() | st.dictionaries(st.text(max_size=3), st.text(max_size=3), min_size=1).map(
    msgpack.packb
)


def some_items(times):
    item = st.builds(
        Item,
        st.binary(max_size=9),
        st.none() | st.binary(min_size=1, max_size=5),
        headers,
        times,
    )
    return st.lists(item, min_size=1, max_size=9)


unset, timed = st.none(), st.integers(BASE, BASE + 3_000_000_000)
messages = some_items(unset) | some_items(timed)
same_kind = st.lists(some_items(unset), min_size=1, max_size=4) | st.lists(
    some_items(timed), min_size=1, max_size=4
)


@given(messages)
def test_block_holds_what_was_put_in(items):
    block = blocks.build(items)
    assert blocks.check(block).messages == len(items)
    assert blocks.split(block) == items
    assert blocks.check(memoryview(bytearray(block))) == blocks.check(block)


@given(same_kind, st.data())
def test_packed_cuts_are_the_same_slices(sources, data):
    parts, expected = [], []
    for items in sources:
        i = data.draw(st.integers(0, len(items) - 1))
        j = data.draw(st.integers(i, len(items) - 1))
        parts.append((blocks.build(items), i, j))
        expected += items[i : j + 1]
    block = blocks.pack(parts)
    blocks.check(block)
    assert blocks.split(block) == expected


@given(messages, st.data())
def test_damaged_block_is_an_error_or_the_same(items, data):
    block = bytearray(blocks.build(items))
    at = data.draw(st.integers(0, len(block) - 1))
    block[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    try:
        blocks.check(block)
    except blocks.BlockError:
        return
    assert bytes(block) == blocks.build(items)


@given(messages, st.data())
def test_damaged_block_with_a_right_crc_is_an_error_or_whole(items, data):
    """An attacker sums up well: whatever is let through can be cut and split."""
    block = bytearray(blocks.build(items))
    at = data.draw(st.integers(6, len(block) - 1))
    block[at : at + 4] = data.draw(st.binary(min_size=4, max_size=4))
    block[8:12] = blocks.crc_of(memoryview(bytes(block))).to_bytes(4, "little")
    try:
        n = blocks.check(bytes(block)).messages
    except blocks.BlockError:
        return
    split = blocks.split(bytes(block))
    assert len(split) == n
    assert blocks.split(blocks.cut(bytes(block), n // 2, n - 1)) == split[n // 2 :]


def judged(frames):
    """Decoding gives an event or a refusal that is not our bug."""
    try:
        decode([b"peer", *frames], LIMITS)
    except Refusal as refusal:
        refused = refusal
    else:
        return
    assert refused.code != "internal", refused.text
    assert refused.text.isprintable()


@given(st.lists(st.binary(max_size=60), max_size=12))
def test_random_frames_are_refused(frames):
    judged(frames)


@given(st.sampled_from(VALID), st.data())
def test_mutated_requests_are_refused_or_fine(frames, data):
    frames = list(frames)
    number = data.draw(st.integers(0, len(frames) - 1))
    frame = bytearray(frames[number])
    at = data.draw(st.integers(0, len(frame)))
    frame[at : at + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    frames[number] = bytes(frame)
    judged(frames)


leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 60), 1 << 60)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=17)
)
anything = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)
MAPS = [msgpack.unpackb(frames[0]) for frames in VALID if frames[0][:1] > b"\x80"]
KNOWN = sorted({key for request in MAPS for key in request} - {"op"})
OPS = sorted({request["op"] for request in MAPS if isinstance(request["op"], str)})


@given(st.sampled_from(OPS), st.dictionaries(st.sampled_from(KNOWN), anything, max_size=8))
def test_any_value_in_any_field_is_refused_or_fine(op, fields):
    judged([msgpack.packb({**fields, "op": op})])


@given(st.binary(max_size=300))
def test_screen_lets_through_only_what_decodes_small(data):
    """What passes has the depth and the elements it may have."""
    try:
        value = packed.unpack(data)
    except packed.PackError:
        return
    assert depth(value) <= 5


@given(anything)
def test_screen_passes_what_is_within_bounds(value):
    data = msgpack.packb({"x": value})
    expected = depth({"x": value}) <= 5 and small(value)
    try:
        packed.unpack(data)
    except packed.PackError:
        assert not expected
    else:
        assert expected


def depth(value) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


def small(value) -> bool:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return all(map(small, value))
    return not isinstance(value, int) or abs(value) < 1 << 53


parts = st.text("ab.", max_size=4)


@given(st.lists(parts, min_size=2, max_size=4), st.lists(parts, min_size=3, max_size=3))
def test_pattern_matches_what_it_was_made_of(pieces, fillings):
    topic = pieces[0] + "".join(f + p for f, p in zip(fillings, pieces[1:], strict=False))
    assert match("*".join(pieces), topic)


@given(st.text("ab*", min_size=1, max_size=8), st.text("ab", max_size=8))
def test_match_is_as_a_regular_expression(pattern, topic):
    expected = re.fullmatch(pattern.replace("*", ".*"), topic) is not None
    assert match(pattern, topic) is expected


@pytest.mark.parametrize("pattern", ["*a" * 90 + "b", "*" * 200])
def test_many_stars_are_cheap(pattern):
    assert match(pattern, "a" * 200) is (pattern[-1] == "*")
