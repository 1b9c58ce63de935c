"""The form of a history: what is written is read again, and rubbish is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.audit.history import Appender, Unreadable, Writer, merged, read, text_of

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_written_is_read_again(tmp_path: Path):
    times = iter((10, 20, 30))
    with Appender(tmp_path / "h.jsonl") as file:
        writer = Writer(file, lambda: next(times))
        call = writer.invoke("anna", "push", topic="app", data=["a"])
        writer.ok(call, boot=1, first=7)
        writer.event("kill", who="daemon")
    assert read(tmp_path / "h.jsonl") == [
        {"t": 10, "client": "anna", "op": "push", "phase": "invoke", "call": 1}
        | {"topic": "app", "data": ["a"]},
        {"t": 20, "client": "anna", "op": "push", "phase": "ok", "call": 1, "boot": 1, "first": 7},
        {"t": 30, "client": "run", "op": "kill", "phase": "ok", "who": "daemon"},
    ]


def test_refusals_and_silence_are_two_things():
    lines: list[dict] = []
    writer = Writer(lines.append, lambda: 1)
    writer.fail(writer.invoke("anna", "poll"), "busy")
    writer.unknown(writer.invoke("anna", "poll"))
    assert [(line["phase"], line["call"]) for line in lines] == [
        ("invoke", 1),
        ("fail", 1),
        ("invoke", 2),
        ("unknown", 2),
    ]


def test_histories_are_merged_by_time(tmp_path: Path):
    one = [{"t": 1, "n": 1}, {"t": 3, "n": 2}]
    other = [{"t": 1, "n": 3}, {"t": 2, "n": 4}]
    assert [line["n"] for line in merged(one, other)] == [1, 3, 4, 2]


def test_a_line_cut_short_by_a_kill_does_not_count(tmp_path: Path):
    path = tmp_path / "h.jsonl"
    path.write_bytes(b'{"t":1,"client":"a","op":"push","phase":"invoke"}\n{"t":2,"cli')
    assert [line["t"] for line in read(path)] == [1]


@pytest.mark.parametrize(
    "raw",
    [
        b"rubbish",
        b"[]",
        b'{"t":1}',
        b'{"t":"1","client":"a","op":"push","phase":"ok"}',
        b'{"t":1,"client":"a","op":"push","phase":"perhaps"}',
    ],
)
def test_rubbish_is_named_with_its_place(tmp_path: Path, raw: bytes):
    path = tmp_path / "h.jsonl"
    path.write_bytes(b'{"t":1,"client":"a","op":"push","phase":"ok"}\n' + raw + b"\n")
    with pytest.raises(Unreadable, match=r"h\.jsonl:2"):
        read(path)


def test_short_messages_stand_for_themselves_and_others_for_their_digest():
    assert text_of(b"anna-1") == "anna-1"
    long, longer = text_of(b"anna-1 " + b"." * 99), text_of(b"anna-1 " + b"." * 100)
    assert long.startswith("anna-1 ")
    assert long != longer
    assert text_of(b"\x00\xff").isprintable()
    assert text_of(b"\x00") != text_of(b"\x01")
