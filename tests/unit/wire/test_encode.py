"""Answers: the protocol's vectors from effects, and the bound of 64 KiB."""

import json
from pathlib import Path

import msgpack
import pytest

from clients.protocol.source import answers as source
from clients.protocol.source.blocks import BASE_US, PLAIN
from clients.protocol.source.operators import SETTINGS
from clients.protocol.source.requests import LEASE, PRODUCER
from clients.protocol.source.vector import unhex
from laybyd.core.effects import Confirm, Deliver, Grant, Lost, Note, ReadOut, Refuse, Reply
from laybyd.core.settings import GroupSettings
from laybyd.core.types import Caller, Piece
from laybyd.wire.decode import Hello, Refusal
from laybyd.wire.encode import Greeting, encode, encode_hello, encode_refusal
from laybyd.wire.limits import ANSWER_MAP_BYTES

VECTORS = {
    vector["name"]: [unhex(frame) for frame in vector["frames_hex"]]
    for vector in json.loads(
        (Path(__file__).parents[3] / "clients/protocol/vectors/answers.json").read_text()
    )["vectors"]
}
BOOT = 7
ANYBODY = Caller(b"peer")
PIECE = Piece(41, 42, 41)
GRANT = Grant(LEASE, "app", "live", 12, 30_000, False, (PIECE,), BASE_US)
LOST = Lost(LEASE, ((41, 42),), "lease_lost")
REFUSED = {"lease": LEASE, "ranges": [41, 42], "code": "lease_lost"}
LINE = (BASE_US, "ValueError: not a number", "worker-1", True)
RETRIED = GRANT._replace(
    lane="deferred",
    pieces=(Piece(40, 40, 40, "deferred"), Piece(17, 17, 17, "deferred")),
    attempts=(1, 0),
    deliveries=(2, 3),
    history=((LINE,), ()),
)
BLOCK = PLAIN.bytes()

EFFECTS = {
    "push": (Reply(Caller(b"peer", (), 1), {"first": 41, "count": 1}), ()),
    "confirm": (Confirm(ANYBODY, PRODUCER, 1, 3, (41, 42, 44)), ()),
    "refusal-seq-gap": (
        Refuse(
            ANYBODY, "seq_gap", "what is wrong", 0, {"producer": PRODUCER, "seq": 9, "expected": 4}
        ),
        (),
    ),
    "refusal-store-full": (Refuse(ANYBODY, "store_full", "what is wrong", 1_000), ()),
    "poll-one-lease": (
        Deliver(Caller(b"peer", (), 9), "g", 3, (GRANT,), hand_back_ms=30),
        (BLOCK,),
    ),
    "poll-hand-back-0": (Deliver(ANYBODY, "g", 3, (GRANT,)), (BLOCK,)),
    "poll-deferred": (Deliver(ANYBODY, "g", 3, (RETRIED,), hand_back_ms=30), (BLOCK,)),
    "poll-alone": (
        Deliver(ANYBODY, "g", 3, (GRANT._replace(lane="deferred", alone=True),), hand_back_ms=30),
        (BLOCK,),
    ),
    "poll-settle-refused": (Deliver(ANYBODY, "g", 3, (), (LOST,), "nothing"), ()),
    "poll-why-max-out": (Deliver(ANYBODY, "g", 3, (), (), "max out"), ()),
    "read": (ReadOut(ANYBODY, (("app", (PIECE,)),), 43, (BASE_US,)), (BLOCK,)),
    "read-nothing": (ReadOut(ANYBODY, (), 43), ()),
    "settle": (Reply(ANYBODY, {"refused": ()}), ()),
    "extend-stop": (Reply(ANYBODY, {"refused": (Lost(b"", ((41, 41),), "lease_lost"),)}), ()),
    "settle-lost": (Reply(ANYBODY, {"refused": [REFUSED | {"ranges": [41, 41]}]}), ()),
    "retry": (Reply(ANYBODY, {"done": 3, "missing": ((9, 9),)}), ()),
    "parked-bodies": (
        Reply(
            ANYBODY,
            {"parked": [source.PAGE | {"to": 42, "alone": False}], "more": False},
        ),
        (BLOCK,),
    ),
}


@pytest.mark.parametrize("name", EFFECTS)
def test_answer_is_that_of_the_vector(name):
    effect, blocks = EFFECTS[name]
    assert read(encode(effect, blocks, BOOT)) == read([b"peer", *VECTORS[name]])


def read(frames):
    """Peer, map and blocks."""
    return frames[0], msgpack.unpackb(frames[1]), frames[2:]


def answer(effect, blocks=()):
    return msgpack.unpackb(encode(effect, blocks, BOOT)[1])


def test_refusal_of_the_codec_is_an_answer():
    refused = Refusal(Caller(b"peer", (b"e", b""), 1), "bad_name", "why", {"seq": 4})
    peer, empty, envelope, packed = encode_refusal(refused, BOOT)
    assert (peer, empty, envelope) == (b"peer", b"e", b"")
    assert msgpack.unpackb(packed) == {
        "id": 1,
        "ok": False,
        "boot": 7,
        "code": "bad_name",
        "fault": "yours",
        "retryable": False,
        "retry_ms": 0,
        "text": "why",
        "seq": 4,
    }


def test_hello_tells_limits():
    greeting = Greeting("layby 0.1.0", bytes(range(16)), 1, BOOT)
    frames = encode_hello(Hello(Caller(b"peer", (), 1)), greeting)
    assert read(frames) == read([b"peer", *VECTORS["hello"]])


def test_only_an_answer_with_leases_tells_when_to_hand_back():
    nothing = Deliver(Caller(b"peer"), "g", 1, (), (), "nothing", hand_back_ms=30)
    assert "hand_back_ms" not in answer(nothing)


def test_neighbouring_pieces_are_one_range():
    pieces = (Piece(1, 2, 1), Piece(3, 5, 3), Piece(7, 7, 7), Piece(6, 6, 6))
    lease = answer(Deliver(ANYBODY, "g", 1, (GRANT._replace(pieces=pieces),)), (BLOCK,))
    assert lease["leases"][0]["ranges"] == [1, 5, 7, 7, 6, 6]


def test_history_is_short():
    line = (1, "é" * 300, "c", False)
    grant = GRANT._replace(history=((LINE,) + (line,) * 5, ()))
    (lease,) = answer(Deliver(ANYBODY, "g", 1, (grant,)), (BLOCK,))["leases"]
    shown, none = lease["history"]
    assert none == []
    assert shown == [{"at_us": 1, "reason": "é" * 100, "consumer": "c", "counted": False}] * 4


def test_too_long_an_answer_loses_history_first_then_deliveries():
    line = (1, "r" * 200, "c", True)
    many = GRANT._replace(attempts=(1,) * 400, deliveries=(2,) * 400, history=((line,),) * 400)
    (lease,) = answer(Deliver(ANYBODY, "g", 1, (many,)), (BLOCK,))["leases"]
    assert "history" not in lease
    assert len(lease["deliveries"]) == 400
    crowd = many._replace(attempts=(300,) * 20_000, deliveries=(300,) * 20_000)
    (lease,) = answer(Deliver(ANYBODY, "g", 1, (crowd,)), (BLOCK,))["leases"]
    assert "deliveries" not in lease
    assert len(lease["attempts"]) == 20_000


def test_page_too_long_is_cut_with_its_blocks():
    page = [source.PAGE | {"from": i, "history": [source.LINE] * 16} for i in range(1_000)]
    effect = Reply(ANYBODY, {"parked": page, "more": False})
    frames = encode(effect, [b"%d" % i for i in range(1_000)], BOOT)
    shown = msgpack.unpackb(frames[1])
    assert len(frames[1]) <= ANSWER_MAP_BYTES
    assert shown["more"]
    assert shown["parked"] == page[: len(shown["parked"])]
    assert frames[2:] == [b"%d" % i for i in range(len(shown["parked"]))]
    assert len(shown["parked"]) > 10


def test_refused_ranges_are_never_cut():
    assert len(answer(Reply(ANYBODY, {"refused": [REFUSED] * 4_000}))["refused"]) == 4_000
    crowd = Deliver(ANYBODY, "g", 1, (), (LOST,) * 4_000, "nothing")
    assert len(answer(crowd)["refused"]) == 4_000


def test_cut_read_has_more_times_than_blocks():
    effect = ReadOut(ANYBODY, (("app", (PIECE,)),), 43, (5, 6))
    assert [block["at_us"] for block in answer(effect, (BLOCK,))["blocks"]] == [5]


def test_settings_are_those_of_the_protocol():
    core = GroupSettings(backoff_us=(1_000, 2_000))._asdict()
    shown = answer(Reply(ANYBODY, {"settings": core}))["settings"]
    assert shown.keys() == SETTINGS.keys()
    assert shown["backoff_ms"] == [1, 2]
    assert shown["max_attempts"] == 6


def test_only_answers_can_be_encoded():
    with pytest.raises(TypeError):
        encode(Note("x", {}), (), BOOT)
