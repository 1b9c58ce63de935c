"""The broker's codec against the protocol's vectors, and the vectors against their source."""

import json
from pathlib import Path
from typing import Any

import msgpack
import pytest

from clients.protocol.source.__main__ import texts
from clients.protocol.source.vector import unhex, unplain
from laybyd.core.events import Extend, Goodbye, Operate, Poll, Push, Read, Settle
from laybyd.core.patterns import match
from laybyd.core.settings import GroupSettings
from laybyd.core.types import Outcome, Progress, Verdict
from laybyd.wire import block as blocks
from laybyd.wire import names
from laybyd.wire.codes import CODES
from laybyd.wire.decode import Hello, Refusal, decode
from laybyd.wire.limits import Limits
from laybyd.wire.operate import settings_to_wire

PROTOCOL = Path(__file__).parents[2] / "clients" / "protocol"
LIMITS = Limits()


def vectors(*areas: str, valid: bool) -> list[Any]:
    """Parameters (frames, what is expected), one per vector."""
    return [
        pytest.param(
            [unhex(frame) for frame in vector["frames_hex"]],
            vector["code"] if "code" in vector else unplain(vector["decoded"]),
            id=f"{area}/{vector['name']}",
        )
        for area in areas
        for vector in json.loads((PROTOCOL / "vectors" / f"{area}.json").read_text())["vectors"]
        if ("code" not in vector) is valid
    ]


def exact_vectors(area: str) -> list[Any]:
    listed = json.loads((PROTOCOL / "vectors" / f"{area}.json").read_text())["vectors"]
    return [
        pytest.param(unhex(v["frames_hex"][0]), unplain(v["decoded"]), id=v["name"])
        for v in listed
        if "code" not in v and v.get("exact", True)
    ]


# ---- the files themselves -----------------------------------------------------------------------


def test_vectors_and_examples_are_up_to_date():
    stale = [path.name for path, text in texts().items() if path.read_text() != text]
    assert not stale, "run python -m clients.protocol.source"


def test_names_of_vectors_are_unique():
    for path in (PROTOCOL / "vectors").glob("*.json"):
        listed = [vector["name"] for vector in json.loads(path.read_text()).get("vectors", [])]
        assert len(listed) == len(set(listed)), path.name


def test_codes_are_those_of_the_protocol():
    listed = json.loads((PROTOCOL / "codes.json").read_text())
    assert listed["version"] == 1
    assert listed["codes"] == [code._asdict() for code in CODES.values()]


def test_every_setting_of_a_group_is_on_the_wire():
    path = PROTOCOL / "vectors" / "operators.json"
    listed = json.loads(path.read_text())["vectors"]
    whole = next(v for v in listed if v["name"] == "group-create-whole")["decoded"]["settings"]
    assert settings_to_wire(GroupSettings()._asdict()).keys() == whole.keys()


# ---- blocks -------------------------------------------------------------------------------------


def as_message(item: blocks.Item) -> dict[str, Any]:
    message: dict[str, Any] = {"data": item.data}
    if item.key is not None:
        message["key"] = item.key
    if item.headers is not None:
        message["headers"] = msgpack.unpackb(item.headers)
    if item.timestamp_us is not None:
        message["timestamp_us"] = item.timestamp_us
    return message


def as_item(message: dict[str, Any]) -> blocks.Item:
    headers = msgpack.packb(message["headers"]) if "headers" in message else None
    return blocks.Item(message["data"], message.get("key"), headers, message.get("timestamp_us"))


@pytest.mark.parametrize(("frames", "decoded"), vectors("blocks", valid=True))
def test_block_is_understood(frames, decoded):
    blocks.check(frames[0])
    assert [as_message(item) for item in blocks.split(frames[0])] == decoded["messages"]


@pytest.mark.parametrize(("block", "decoded"), exact_vectors("blocks"))
def test_block_is_built(block, decoded):
    assert blocks.build([as_item(message) for message in decoded["messages"]]) == block


@pytest.mark.parametrize(("frames", "code"), vectors("blocks", valid=False))
def test_block_is_refused(frames, code):
    with pytest.raises(blocks.BlockError) as refused:
        blocks.check(frames[0])
    assert refused.value.code == code


# ---- requests -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frames", "decoded"), vectors("requests", "operators", "maps", valid=True)
)
def test_request_is_understood(frames, decoded):
    event = decode([b"peer", *frames], LIMITS)
    assert event.caller.peer == b"peer"
    assert event.caller.envelope == ()
    assert as_request(event) == decoded
    if isinstance(event, Push) and event.packed:
        assert event.body is frames[1]


@pytest.mark.parametrize(
    ("frames", "code"), vectors("requests", "operators", "maps", "envelope", valid=False)
)
def test_request_is_refused(frames, code):
    with pytest.raises(Refusal) as refused:
        decode([b"peer", *frames], LIMITS)
    assert refused.value.code == code
    assert refused.value.caller.peer == b"peer"
    assert refused.value.text


@pytest.mark.parametrize(("frames", "decoded"), vectors("envelope", valid=True))
def test_envelope_is_kept(frames, decoded):
    event = decode([b"peer", *frames], LIMITS)
    assert list(event.caller.envelope) == decoded["envelope"]
    assert as_request(event) == decoded["body"]


def as_request(event: Any) -> dict[str, Any]:
    """The event as the map a client would have sent; what was left out is left out again."""
    request: dict[str, Any] = {"op": _op(event), **_FIELDS[type(event)](event)}
    if event.caller.id is not None:
        request["id"] = event.caller.id
    return {key: value for key, value in request.items() if value is not None}


def _op(event: Any) -> str:
    return event.verb if isinstance(event, Operate) else type(event).__name__.lower()


def _push(event: Push) -> dict[str, Any]:
    fields = {"topic": event.topic, "producer": event.producer, "seq": event.seq}
    return fields | (as_message(event.body) if isinstance(event.body, blocks.Item) else {})


def _poll(event: Poll) -> dict[str, Any]:
    return {
        "group": event.group,
        "topics": list(event.topics) if event.topics is not None else None,
        "messages": event.credit,
        "bytes": event.credit_bytes,
        "wait_ms": event.wait_ms,
        "name": event.name or None,
        "start": _start(event.start, event.start_us),
        "session": event.session,
        "n": event.n,
        "got": event.got,
        "handlers": event.handlers,
        "idle": event.idle,
        "lease_ms": event.lease_ms,
        "live_us": event.live_us,
        "deferred_us": event.deferred_us,
        "settle": [_entry(verdict) for verdict in event.verdicts] or None,
        **(_progress(event.progress) if event.progress else {}),
    }


def _start(start: str | int | None, start_us: int | None) -> object:
    return start if start_us is None else {"time_us": start_us}


def _entry(verdict: Verdict) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "lease": verdict.lease,
        "ranges": [position for pair in verdict.ranges for position in pair],
        "outcome": str(verdict.outcome),
    }
    if verdict.reason:
        entry["reason"] = verdict.reason
    if verdict.delay_ms is not None:
        entry["delay_ms"] = verdict.delay_ms
    if not verdict.started:
        entry["started"] = False
    assert isinstance(verdict.outcome, Outcome)
    return entry


def _progress(progress: Progress) -> dict[str, Any]:
    return {
        "working": [list(span) for span in progress.working],
        "hold": [list(hold) for hold in progress.hold] or None,
    }


def _read(event: Read) -> dict[str, Any]:
    """Left-out numbers come back as their defaults."""
    start = "latest" if event.first is None and event.at_us is None else event.first
    return {
        "topics": list(event.topics),
        "from": _start("earliest" if start == 1 else start, event.at_us),
        "until": event.until,
        "limit": event.limit if event.limit != 1_000 else None,
        "bytes": event.limit_bytes if event.limit_bytes != 1 << 20 else None,
        "wait_ms": event.wait_ms or None,
    }


def _operate(event: Operate) -> dict[str, Any]:
    args = dict(event.args)
    if "start" in args:
        args["start"] = _start(args["start"], args.pop("start_us"))
    if "settings" in args:
        args["settings"] = settings_to_wire(args["settings"])
    if "ranges" in args:
        args["ranges"] = [position for pair in args["ranges"] for position in pair]
    if "topics" in args:
        args["topics"] = list(args["topics"])
    return args


_FIELDS = {
    Push: _push,
    Poll: _poll,
    Settle: lambda event: {
        "group": event.group,
        "settle": [_entry(verdict) for verdict in event.verdicts],
    },
    Extend: lambda event: {
        "group": event.group,
        "session": event.session,
        **_progress(event.progress),
    },
    Goodbye: lambda event: {"group": event.group, "session": event.session},
    Read: _read,
    Hello: lambda event: {"client": event.client or None},
    Operate: _operate,
}


# ---- names --------------------------------------------------------------------------------------

NAMES = json.loads((PROTOCOL / "vectors" / "names.json").read_text())


@pytest.mark.parametrize("vector", NAMES["names"], ids=lambda vector: repr(vector["name"][:20]))
def test_name(vector):
    assert (names.why_not_name(vector["name"]) == "") is vector["legal"]


@pytest.mark.parametrize("vector", NAMES["patterns"], ids=lambda v: repr(v["name"][:20]))
def test_pattern(vector):
    assert (names.why_not_pattern(vector["name"]) == "") is vector["legal"]


@pytest.mark.parametrize("vector", NAMES["matches"], ids=lambda v: f"{v['pattern']}~{v['topic']}")
def test_match(vector):
    assert match(vector["pattern"], vector["topic"]) is vector["matches"]
