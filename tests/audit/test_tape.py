"""What goes over a socket, and the lines that are made of it."""

from __future__ import annotations

import msgpack
import pytest

from loadtests.wire import block
from tests.audit.tape import LiveTape, Tape


def talk(*said: tuple[str, list[bytes]]) -> list[tuple]:
    """(op, phase, and what else is told) of each line."""
    tape = Tape("anna")
    for which, frames in said:
        (tape.sent if which == ">" else tape.received)(frames)
    return [
        (line["op"], line["phase"], {k: v for k, v in line.items() if k in SHOWN})
        for line in tape.lines()
    ]


SHOWN = {"data", "leases", "producer", "first", "code", "session", "refused"}
PRODUCER = b"\x01\xff"


def frame(**fields: object) -> bytes:
    return msgpack.packb(fields)


def push(seq: int) -> tuple[str, list[bytes]]:
    return ">", [frame(op="push", topic="app", data=b"m%d" % seq, producer=PRODUCER, seq=seq)]


def refusal(seq: int) -> tuple[str, list[bytes]]:
    told = frame(ok=False, boot=1, code="busy", producer=PRODUCER, seq=seq, retryable=True)
    return "<", [told]


def test_a_request_and_its_answer():
    lines = talk(
        (">", [frame(op="push", id=1, topic="app"), block([b"a", b"b"])]),
        ("<", [frame(ok=True, boot=1, id=1, first=7, count=2)]),
    )
    assert lines == [("push", "invoke", {"data": ["a", "b"]}), ("push", "ok", {"first": 7})]


def test_leases_come_with_their_messages():
    lease = {"lease": b"\xaa", "topic": "app", "lane": "live", "grant": 1, "ranges": [7, 7]}
    (_, _, asked), (_, phase, told) = talk(
        (">", [frame(op="poll", id=1, group="g", session=b"\x0a", n=1)]),
        ("<", [frame(ok=True, boot=1, id=1, leases=[lease], refused=[]), block([b"a"])]),
    )
    assert (asked, phase) == ({"session": "0a"}, "ok")
    assert told["leases"] == [lease | {"lease": "aa", "data": ["a"]}]


def test_a_push_with_a_sequence_is_one_call_however_often_it_is_sent():
    confirm = frame(
        op="confirm", ok=True, boot=1, producer=PRODUCER, upto=2, first=[5, 6], **{"from": 1}
    )
    lines = talk(push(1), push(2), push(1), refusal(2), push(2), ("<", [confirm]), ("<", [confirm]))
    assert [(op, phase) for op, phase, _ in lines] == [("push", "invoke")] * 2 + [
        ("push", "ok")
    ] * 2
    assert [told["first"] for _, phase, told in lines if phase == "ok"] == [5, 6]


@pytest.mark.parametrize(
    ("sent", "refused", "phases"),
    [(1, 1, ["invoke", "fail"]), (2, 1, ["invoke"]), (1, 0, ["invoke"])],
    ids=["refused each time", "sent once more", "no answer"],
)
def test_what_is_known_of_a_push_in_the_end(sent: int, refused: int, phases: list[str]):
    lines = talk(*[push(1)] * sent, *[refusal(1)] * refused)
    assert [phase for _, phase, _ in lines] == phases


def test_an_answer_that_nobody_asked_for_tells_nothing():
    assert talk(("<", [frame(ok=True, boot=1, id=9)])) == []


def test_a_live_tape_hands_each_line_on_at_once():
    lines: list[dict] = []
    tape = LiveTape("anna", lines.append)
    tape.sent([frame(op="goodbye", id=1, group="g", session=b"\x0a")])
    assert [(line["op"], line["client"]) for line in lines] == [("goodbye", "anna")]
    assert lines[0]["t"] > 0
