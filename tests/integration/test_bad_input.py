"""Strangers' requests: each gives its code or is dropped, at a bounded price, unnoticed by others.

One daemon takes all of them, while a well-behaved client beside goes on; its slowest round and the
daemon's memory are judged too.
"""

from __future__ import annotations

import random
import zlib
from typing import TYPE_CHECKING

import msgpack
import pytest

from loadtests.wire import block
from tests.integration.daemon_process import poll
from tests.integration.strangers import INT_MAX, nested, packed, polled, push, settled

if TYPE_CHECKING:
    from tests.integration.strangers import World

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("nobody_notices")]

# ---- frames -----------------------------------------------------------------------------------

FRAMES = {
    "an empty frame alone is an envelope without a body": ([b""], "bad_request"),
    "two empty frames": ([b"", b""], "bad_request"),
    "an empty block frame": ([push(), b""], "bad_request"),
    "three body frames": ([b"", push(), block([b"x"]), b"more"], "bad_request"),
    "an envelope frame of 256 bytes": ([b"e" * 256, b"", push(data=b"x")], "bad_request"),
    "a block behind an op that takes none": ([packed(op="status"), block([b"x"])], "bad_request"),
    "twelve frames": ([b"f"] * 12, "bad_request"),
    "a thousand frames": ([b"f"] * 1_000, "bad_request"),
    "a long envelope of empties": ([b""] * 50, "bad_request"),
}


@pytest.mark.parametrize(("frames", "code"), FRAMES.values(), ids=FRAMES.keys())
def test_frames(world: World, frames: list[bytes], code: str):
    assert world.code(*frames) == code


def test_three_hundred_thousand_empty_frames_hold_nobody_up(world: World):
    assert world.code(*[b""] * 300_000) == "bad_request"


@pytest.mark.parametrize("envelope", [[], [b""], [b"a", b"b", b""], [b"x" * 255] * 7 + [b""]])
def test_any_rightful_envelope_comes_back(world: World, envelope: list[bytes]):
    dealer = world.peers.dealer()
    dealer.send_multipart([*envelope, packed(op="status")])
    assert dealer.poll(5_000)
    assert dealer.recv_multipart()[:-1] == envelope


# ---- maps -------------------------------------------------------------------------------------

MAPS = {
    "random bytes": (random.Random(1).randbytes(200) + b"\xc1", "bad_request"),
    "no map": (msgpack.packb([1, 2]), "bad_request"),
    "the reserved byte": (b"\xc1", "bad_request"),
    "cut short": (packed(op="status", x="long")[:-3], "bad_request"),
    "bytes behind the map": (packed(op="status") + b"\xc0", "bad_request"),
    "bad utf-8": (b"\x82\xa2op\xa6status\xa1x\xa2\xff\xfe", "bad_request"),
    "a key twice": (b"\x82\xa2op\xa6status\xa2op\xa6status", "bad_request"),
    "an int as a key": (b"\x82\xa2op\xa6status\x01\x01", "bad_request"),
    "a list as a key": (b"\x82\xa2op\xa6status\x90\x01", "bad_request"),
    "an ext type": (packed(op="status", x=msgpack.ExtType(5, b"x")), "bad_request"),
    "a timestamp out of range": (
        b"\x82\xa2op\xa6status\xa1x\xc7\x0c\xff" + b"\xff" * 12,
        "bad_request",
    ),
    "2^53": (push(data=b"x", timestamp_us=1 << 53), "bad_request"),
    "2^64 - 1": (push(data=b"x", timestamp_us=(1 << 64) - 1), "bad_request"),
    "a negative integer": (push(data=b"x", timestamp_us=-1), "bad_request"),
    "nan where an integer belongs": (push(data=b"x", timestamp_us=float("nan")), "bad_request"),
    "a float that is whole": (polled(wait_ms=1.0), "bad_request"),
    "true where an integer belongs": (polled(wait_ms=True), "bad_request"),
    "no op": (packed(topic="t"), "bad_request"),
    "an unknown op": (packed(op="frobnicate"), "unknown_op"),
    "an op that is no text": (packed(op=7), "bad_request"),
    "depth 6": (nested(6), "bad_request"),
    "depth 2,000": (nested(2_000), "bad_request"),
    "a million levels": (nested(1_000_000), "bad_request"),
    "an array said to have 2^32 - 1 entries": (
        b"\x82\xa2op\xa6status\xa1x\xdd\xff\xff\xff\xff",
        "too_large",
    ),
    "a map said to have 2^32 - 1 entries": (b"\xdf\xff\xff\xff\xff\xa2op\xa6status", "too_large"),
    "text said to have 2^32 - 1 bytes": (
        b"\x82\xa2op\xa6status\xa1x\xdb\xff\xff\xff\xffshort",
        "bad_request",
    ),
    "a thousand arrays that each claim to be large": (
        b"\x82\xa2op\xa6status\xa1x" + b"\xdd\x00\x00\xf0\x00" * 1_000,
        "too_large",
    ),
    "a mebibyte of empty maps": (
        b"\x82\xa2op\xa6status\xa1x\xdd\x00\x0f\xff\x00" + b"\x80" * 0xFFF00,
        "too_large",
    ),
    "8,193 elements": (polled(x=[0] * 8_200), "too_large"),
    "a read of 5 KiB": (packed(op="read", x=b"x" * 5_000), "too_large"),
    "a status of 65 KiB": (packed(op="status", x=b"x" * 66_000), "too_large"),
    "a poll of 65 KiB": (polled(x=b"x" * 66_000), "too_large"),
    "a push with 5 KiB beside its data": (push(data=b"x", headers={"h": "x" * 5_000}), "too_large"),
    "an id that is text": (packed(op="status", id="text"), "bad_request"),
    "an id of 17 bytes": (packed(op="status", id=b"i" * 17), "bad_request"),
}


@pytest.mark.parametrize(("frame", "code"), MAPS.values(), ids=MAPS.keys())
def test_maps(world: World, frame: bytes, code: str):
    assert world.code(frame) == code


def test_unknown_keys_are_ignored(world: World):
    answer = world.answer(push(data=b"x", colour="blue", more={"a": [1]}))
    assert answer["ok"]


def test_the_largest_integer_is_taken(world: World):
    answer = world.answer(packed(op="read", topics=["none"], **{"from": INT_MAX}))
    assert answer["ok"]


# ---- fields -----------------------------------------------------------------------------------

NAMES = ["", "x" * 201, "a\0b", "a b", "a/b", "ünï", "a\n", "\x1b[31m", "\u202eabc", "*", "layby.x"]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_names(world: World, name: str):
    assert world.code(push(topic=name, data=b"x")) == "bad_name"
    assert world.code(polled(group=name)) == "bad_name"
    assert world.code(polled(name=name)) == "bad_name"


FIELDS = {
    "a push of nothing": (push(), "bad_request"),
    "text as data": (push(data="text"), "bad_request"),
    "headers that are no texts": (push(data=b"x", headers={"a": 1}), "bad_request"),
    "seq without producer": (push(data=b"x", seq=1), "bad_request"),
    "a producer of 17 bytes": (push(data=b"x", seq=1, producer=b"p" * 17), "bad_request"),
    "seq 0": (push(data=b"x", seq=0, producer=b"p"), "bad_request"),
    "a sequence that begins at 5": (push(data=b"x", seq=5, producer=b"new"), "seq_gap"),
    "a message over 1 MiB": (push(data=bytes((1 << 20) + 1)), "too_large"),
    "no topics": (polled(topics=[]), "bad_request"),
    "65 topics": (polled(topics=["t"] * 65), "bad_request"),
    "n without session": (polled(n=1), "bad_request"),
    "got above n": (polled(session=b"s", n=1, got=1), "bad_request"),
    "more idle handlers than handlers": (
        polled(session=b"s", n=1, handlers=1, idle=2),
        "bad_request",
    ),
    "a lease of 9 ms": (polled(lease_ms=9), "bad_request"),
    "a start in no known form": (polled(start="soon"), "bad_request"),
    "a range that ends before it begins": (settled(5, 4), "bad_request"),
    "ranges that overlap": (settled(1, 5, 5, 6), "bad_request"),
    "half a range": (settled(1), "bad_request"),
    "position 0": (settled(0, 1), "bad_request"),
    "an outcome that is none": (settled(1, 1, outcome="forget"), "bad_request"),
    "a settle of nothing": (packed(op="settle", group="g", settle=[]), "bad_request"),
    "a settle in a group that is not": (
        settled(1, 1, group="no.such"),
        "unknown_group",
    ),
    "other topics than the group's": (
        polled(group="neighbours", topics=["t"]),
        "subscription_differs",
    ),
    "a topic that is not": (packed(op="topic_delete", topic="no.such"), "unknown_topic"),
    "a read from position 0": (packed(op="read", topics=["t"], **{"from": 0}), "bad_request"),
    "a group setting misspelt": (
        packed(op="group_create", group="made", topics=["t"], settings={"leese_ms": 1}),
        "bad_request",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("frame", "code"), FIELDS.values(), ids=FIELDS.keys())
def test_fields(world: World, frame: bytes, code: str):
    assert world.code(frame) == code


def test_a_read_beyond_the_end_gives_nothing(world: World):
    answer = world.answer(packed(op="read", topics=["*"], **{"from": INT_MAX - 1}))
    assert answer["blocks"] == []


def test_a_lease_that_was_never_issued(world: World):
    peer = world.peers.peer()
    answer = peer.ask("settle", group="neighbours", settle=[
        {"lease": b"made up", "ranges": [1, INT_MAX], "outcome": "ack"},
    ])  # fmt: skip
    assert [entry["code"] for entry in answer["refused"]] == ["lease_unknown"]


def test_an_ack_that_is_repeated_is_answered_alike(world: World):
    peer = world.peers.peer()
    peer.ask("push", topic="twice", data=b"x")
    lease = poll(peer, "twice", topics=["twice"])["leases"][0]
    entry = {"lease": lease["lease"], "ranges": lease["ranges"], "outcome": "ack"}
    answers = [peer.ask("settle", group="twice", settle=[entry])["refused"] for _ in range(3)]
    assert answers == [[], [], []]


def test_another_groups_lease_settles_nothing_here(world: World):
    peer = world.peers.peer()
    peer.ask("push", topic="mine", data=b"x")
    lease = poll(peer, "mine", topics=["mine"])["leases"][0]
    poll(peer, "theirs", topics=["mine"], wait_ms=0)
    entry = {"lease": lease["lease"], "ranges": lease["ranges"], "outcome": "ack"}
    (refused,) = peer.ask("settle", group="theirs", settle=[entry])["refused"]
    assert refused["code"] in ("lease_unknown", "lease_lost")


def test_a_number_used_again_for_other_bytes_is_a_conflict(world: World):
    frames = [push(data=data, producer=b"conflicting", seq=1) for data in (b"one", b"two", b"one")]
    first, other, again = (world.answer(frame) for frame in frames)
    assert first["op"] == "confirm"
    assert (other["code"], other["seq"]) == ("conflict", 1)
    assert again["first"] == first["first"]


# ---- blocks -----------------------------------------------------------------------------------


def changed(at: int, *values: int) -> bytes:
    """A good block with other bytes from `at` on, and a CRC that matches again."""
    made = bytearray(block([b"one", b"two"]))
    made[at : at + len(values)] = bytes(values)
    crc = zlib.crc32(made[12:], zlib.crc32(made[:8]))
    made[8:12] = crc.to_bytes(4, "little")
    return bytes(made)


def flipped() -> bytes:
    made = bytearray(block([b"one", b"two"]))
    made[-1] ^= 1
    return bytes(made)


BLOCKS = {
    "junk": (b"junk" * 30, "bad_block"),
    "shorter than a header": (b"LBK1", "bad_block"),
    "a flipped bit": (flipped(), "bad_block"),
    "another magic": (changed(0, 0x58), "bad_block"),
    "another version": (changed(4, 2), "bad_block"),
    "a codec: a compressed block": (changed(5, 1), "bad_block"),
    "unknown flags": (changed(6, 0x10), "bad_block"),
    "no messages": (changed(12, 0), "bad_block"),
    "more messages than lengths": (changed(12, 3), "bad_block"),
    "four billion messages": (changed(12, 0xFF, 0xFF, 0xFF, 0xFF), "bad_block"),
    "a length beyond the bodies": (changed(48, 200), "bad_block"),
    "a base time of 2^63": (changed(16, 0, 0, 0, 0, 0, 0, 0, 0x80), "bad_block"),
    "cut short": (block([b"one", b"two"])[:-2], "bad_block"),
    "more behind it": (block([b"one"]) + b"x", "bad_block"),
    "70,000 messages": (block([b""] * 70_000), "too_large"),
    "a message over 1 MiB": (block([bytes((1 << 20) + 1)]), "too_large"),
}


@pytest.mark.parametrize(("frame", "code"), BLOCKS.values(), ids=BLOCKS.keys())
def test_blocks(world: World, frame: bytes, code: str):
    answer = world.code(push(), frame)
    assert answer == code or {answer, code} <= {"bad_block", "too_large"}


def test_data_and_a_block_together(world: World):
    assert world.code(push(data=b"x"), block([b"x"])) == "bad_request"


def test_any_bytes_are_good_data(world: World):
    """The broker never looks into a message, so a bomb for a decoder is just bytes."""
    bomb = b"\xdd\x00\x0f\xff\x00" + b"\x80" * 0xFFF00
    answer = world.answer(push(topic="bombs", data=bomb))
    assert answer["ok"]


def test_what_is_refused_is_counted(world: World):
    def counted() -> dict[str, int]:
        return world.answer(packed(op="status"))["refused"]

    before = counted()
    world.code(b"\xc1")
    world.code(packed(op="frobnicate"))
    world.code(push(), b"junk" * 30)
    after = counted()
    for code in ("bad_request", "unknown_op", "bad_block"):
        assert after[code] == before.get(code, 0) + 1
