"""The protocol's vectors, read by the client's own codec."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgpack
import pytest

from layby import _block, _wire

VECTORS = Path(__file__).parents[3] / "clients" / "protocol" / "vectors"


def load(name: str) -> list:
    vectors = json.loads((VECTORS / name).read_text())["vectors"]
    return [pytest.param(vector, id=vector["name"]) for vector in vectors]


def raw(text: str) -> bytes:
    return bytes.fromhex(re.sub(r"\((\w\w)\*(\d+)\)", lambda m: m[1] * int(m[2]), text))


def meaning(value: object) -> object:
    """`{"hex": ...}` is bytes."""
    if isinstance(value, dict):
        if set(value) == {"hex"}:
            return raw(value["hex"])
        return {name: meaning(each) for name, each in value.items()}
    if isinstance(value, list):
        return [meaning(each) for each in value]
    return value


def holds(found: object, expected: object) -> bool:
    """Everything expected is there; what is unknown beside it does not matter."""
    if isinstance(expected, dict):
        return all(holds(found[name], value) for name, value in expected.items())
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(holds, found, expected))
    return found == expected


def described(block: _block.Block) -> list[dict]:
    messages = []
    for index in range(block.messages):
        message = {"data": block.body(index)}
        if block.key(index):
            message["key"] = block.key(index)
        if block.headers(index):
            message["headers"] = block.headers(index)
        if block.time_us(index):
            message["timestamp_us"] = block.time_us(index)
        messages.append(message)
    return messages


def rebuilt(messages: list[dict]) -> bytes:
    keys = [each.get("key", b"") for each in messages]
    headers = [_block.pack_headers(each.get("headers")) for each in messages]
    times = [each["timestamp_us"] for each in messages if "timestamp_us" in each]
    return _block.build(
        [each["data"] for each in messages],
        None,
        keys if any(keys) else None,
        headers if any(headers) else None,
        times or None,
    )


@pytest.mark.parametrize("vector", load("blocks.json"))
def test_blocks_are_read_or_refused(vector):
    frame = raw(vector["frames_hex"][0])
    if "code" in vector:
        with pytest.raises(_block.BlockError):
            described(_block.Block(frame))
    else:
        assert described(_block.Block(frame)) == meaning(vector["decoded"]["messages"])


@pytest.mark.parametrize(
    "vector",
    [
        each
        for each in load("blocks.json")
        if "code" not in each.values[0] and each.values[0].get("exact", True)
    ],
)
def test_a_block_built_from_its_messages_means_the_same(vector):
    messages = meaning(vector["decoded"]["messages"])
    again = rebuilt(messages)
    assert described(_block.Block(again)) == messages
    assert again == raw(vector["frames_hex"][0])


@pytest.mark.parametrize("name", ["requests.json", "operators.json"])
def test_requests_are_written_as_the_vectors_say(name):
    for vector in json.loads((VECTORS / name).read_text())["vectors"]:
        if "code" in vector or not vector.get("exact", True):
            continue
        fields = dict(meaning(vector["decoded"]))
        op = fields.pop("op")
        request = fields.pop("id", 0)
        frames = [raw(frame) for frame in vector["frames_hex"]]
        written = _wire.encode(op, request, fields, *frames[1:])
        assert written[1:] == frames[1:]
        sent = msgpack.unpackb(written[0])
        assert {**sent, "id": request} == {**msgpack.unpackb(frames[0]), "id": request}


@pytest.mark.parametrize("vector", load("answers.json"))
def test_answers_are_understood(vector):
    frames = [raw(frame) for frame in vector["frames_hex"]]
    answer = _wire.decode(frames)
    expected = meaning(vector["decoded"])
    assert holds(answer.fields, expected)
    assert answer.blocks == frames[1:]
    for block in answer.blocks:
        _block.Block(block)
