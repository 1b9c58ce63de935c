"""What the vectors cannot say: limits that are settings, frames not copied, cost of bad input."""

import msgpack
import pytest

from laybyd.core.events import Poll
from laybyd.wire import block as blocks
from laybyd.wire import packed
from laybyd.wire.decode import Refusal, decode
from laybyd.wire.frames import COPY_BYTES
from laybyd.wire.limits import Limits

LIMITS = Limits(max_message=100, max_block=400, max_messages=3)
PUSH = {"op": "push", "topic": "app", "data": b"x"}


class Frame:
    """As a received zmq.Frame: bytes on demand, a buffer always."""

    def __init__(self, data: bytes) -> None:
        self.bytes = data
        self.buffer = memoryview(data)

    def __len__(self) -> int:
        return len(self.bytes)


def request(*frames, limits=LIMITS):
    return decode(
        [b"peer", *(msgpack.packb(f) if isinstance(f, dict) else f for f in frames)], limits
    )


def refusal(*frames) -> Refusal:
    with pytest.raises(Refusal) as refused:
        request(*frames)
    return refused.value


def push_of(block: Frame):
    head = Frame(msgpack.packb({"op": "push", "topic": "app"}))
    return decode([Frame(b"peer"), Frame(b""), head, block], Limits())


def test_a_small_block_does_not_keep_what_it_was_received_in():
    block = Frame(blocks.build([blocks.Item(b"a")]))
    event = push_of(block)
    assert event.body is block.bytes


def test_received_frames_are_not_copied():
    block = Frame(blocks.build([blocks.Item(b"a" * COPY_BYTES)]))
    event = push_of(block)
    assert event.body is block
    assert event.caller.peer == b"peer"
    assert event.caller.envelope == (b"",)
    assert event.size == len(block)
    assert event.crc == blocks.header(block.bytes).crc


def test_lone_push_carries_its_crc_and_size():
    event = request(PUSH | {"key": b"k", "headers": {"b": "2", "a": "1"}})
    item = blocks.Item(b"x", b"k", msgpack.packb({"a": "1", "b": "2"}))
    assert event.body == item
    assert event.crc == blocks.single_crc(item)
    assert event.size >= len(blocks.build([item]))
    assert not event.packed


def test_limits_of_messages_and_blocks():
    request(PUSH | {"data": b"x" * 100})
    assert refusal(PUSH | {"data": b"x" * 101}).code == "too_large"
    head = {"op": "push", "topic": "app"}
    assert refusal(head, blocks.build([blocks.Item(b"x" * 101)])).code == "too_large"
    assert refusal(head, blocks.build([blocks.Item(b"")] * 4)).code == "too_large"
    assert refusal(head, bytes(401)).code == "too_large"
    assert refusal(bytes(65_537)).code == "too_large"


def test_refusal_names_the_field_and_the_caller():
    refused = refusal(b"\0\0", b"", PUSH | {"id": 7, "topic": "no no"})
    assert refused.caller.id == 7
    assert refused.caller.envelope == (b"\0\0", b"")
    assert refused.text.startswith("topic: ")


def test_refused_push_keeps_its_sequence():
    refused = refusal({"op": "push", "topic": "", "data": b"", "producer": b"p", "seq": 4})
    assert refused.fields == {"producer": b"p", "seq": 4}
    assert refusal(PUSH | {"producer": "p", "seq": 4}).fields == {}


def test_text_of_a_stranger_is_shown_harmless_and_short():
    refused = refusal(PUSH | {"topic": "\x1b[31m" + "é" * 500})
    assert refused.text.isprintable()
    assert refused.text.isascii()
    assert len(refused.text) < 200


def test_setting_misspelt_gets_a_hint():
    refused = refusal({"op": "group_set", "group": "g", "settings": {"lease_mss": 5}})
    assert "did you mean lease_ms" in refused.text


def test_minimal_poll():
    event = request({"op": "poll", "group": "g", "messages": 1, "bytes": 1, "wait_ms": 1})
    assert event == Poll(event.caller, "g", None, 1, 1, 1)


@pytest.mark.parametrize(("asked", "counted"), [(999, 999), (1_000, 1_000), (1_001, 1_000)])
def test_bytes_of_one_answer_are_bounded(asked, counted):
    limits = Limits(credit_bytes=1_000)
    poll = {"op": "poll", "group": "g", "messages": 1, "bytes": asked, "wait_ms": 1}
    assert request(poll, limits=limits).credit_bytes == counted
    read = {"op": "read", "topics": ["*"], "from": 1, "bytes": asked}
    assert request(read, limits=limits).limit_bytes == counted


def test_bug_in_a_check_is_a_refusal(monkeypatch):
    monkeypatch.setattr("laybyd.wire.decode.unpack", lambda _: {"op": "hello", "id": object})
    assert refusal(b"\x80").code == "bad_request"
    monkeypatch.setattr("laybyd.wire.decode.unpack", lambda _: 1 // 0)
    assert refusal(b"\x80").code == "internal"


NESTED = b"\xdc\x20\x00"
"""An array that declares 8,192 entries: a decoder that believes it allocates 64 KiB a level."""


@pytest.mark.parametrize(
    "evil",
    [
        NESTED * 20_000,
        b"\x91" * 60_000,
        b"\x81\xa1a" * 20_000,
        b"\xdd\xff\xff\xff\xff",
        b"\x9f" * 60_000,
        b"\xdc\xff\xff" + b"\x80" * 65_535,
    ],
    ids=["arrays", "deep", "maps", "huge", "fixarrays", "empty-maps"],
)
def test_bad_maps_are_refused_before_they_are_decoded(evil, monkeypatch):
    monkeypatch.setattr("laybyd.wire.packed.msgpack.unpackb", pytest.fail)
    with pytest.raises(packed.PackError):
        packed.unpack(evil)


def test_a_want_of_memory_is_not_the_clients_fault(monkeypatch):
    def starved(*_, **__):
        raise MemoryError

    monkeypatch.setattr(packed.msgpack, "unpackb", starved)
    assert refusal(msgpack.packb(PUSH)).code == "internal"
