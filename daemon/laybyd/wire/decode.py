"""Frames of a request -> an event of the core, or a Refusal.

Owns which operation has which fields and how they become an event. Must never know sockets, what
the core makes of an event, or how answers look. Whatever the bytes, `decode` returns an event or
raises Refusal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgpack

from laybyd.core.events import Extend, Goodbye, Poll, Push, Read, Request, Settle
from laybyd.core.types import Caller, Outcome, Progress, Verdict
from laybyd.wire import block as blocks
from laybyd.wire import fields as f
from laybyd.wire import limits as bounds
from laybyd.wire.frames import Frame, buffer_of, raw, split, to_keep, why_not
from laybyd.wire.limits import Limits
from laybyd.wire.operate import OPERATIONS
from laybyd.wire.packed import PackError, unpack


class Hello(NamedTuple):
    caller: Caller
    client: str = ""


class Refusal(Exception):
    """The request cannot be an event. `fields` go into the answer beside code and text."""

    def __init__(
        self,
        caller: Caller,
        code: str,
        text: str,
        fields: Mapping[str, object] | None = None,
        retry_ms: int = 0,
    ) -> None:
        super().__init__(f"{code}: {text}")
        self.caller = caller
        self.code = code
        self.text = text
        self.fields = fields or {}
        self.retry_ms = retry_ms


Map = Mapping[str, object]


class _Op(NamedTuple):
    """A request of one map: how large it may be, what stands in it, what it becomes."""

    max_bytes: int
    fields: f.Fields
    make: Callable[[Caller, dict[str, Any]], Request | Hello]


def decode(frames: Sequence[Frame], limits: Limits) -> Push | Request | Hello:
    peer, envelope, body = parts = split(frames)
    if problem := why_not(parts):
        raise Refusal(Caller(peer, _echoed(envelope)), "bad_request", problem)
    request: Map = {}
    caller: Caller | None = None
    try:
        size = len(body[0])
        if size > max(limits.max_message + bounds.SMALL_MAP_BYTES, bounds.LARGE_MAP_BYTES):
            raise f.FieldError(f"the map has {size} bytes", "too_large")
        request = unpack(raw(body[0]))
        caller = Caller(peer, envelope, _id(request))
        return _event(caller, request, body, limits)
    except (f.FieldError, PackError, blocks.BlockError) as error:
        code, text = error.code, str(error)
    except Exception as error:  # a bug of ours must not let a stranger end the broker
        code, text = "internal", f"decoding failed: {type(error).__name__}: {error}"
    raise Refusal(caller or Caller(peer, envelope), code, text, _sequence(request))


def _event(
    caller: Caller, request: Map, body: Sequence[Frame], limits: Limits
) -> Push | Request | Hello:
    if "op" not in request:
        raise f.FieldError("op is missing")
    op = f.as_text(request["op"])
    if op == "push":
        return _push(caller, request, body, limits)
    if (known := _OPS.get(op)) is None:
        raise f.FieldError("op: no such operation in version 1", "unknown_op")
    if len(body) > 1:
        raise f.FieldError(f"{op} takes no block frame")
    if (size := len(body[0])) > known.max_bytes:
        raise f.FieldError(
            f"{op}: a map of at most {known.max_bytes} bytes, has {size}", "too_large"
        )
    return known.make(caller, _within_credit(known.fields.read(request), limits))


def _within_credit(given: dict[str, Any], limits: Limits) -> dict[str, Any]:
    """Nobody makes the broker gather more for one answer, whatever a poll or a read asks for."""
    if "bytes" in given:
        given["bytes"] = min(given["bytes"], limits.credit_bytes)
    return given


def _id(request: Map) -> bytes | int | None:
    given = request.get("id")
    if given is None or (type(given) is bytes and len(given) <= bounds.ID_BYTES):
        return given
    if type(given) is int and given >= 0:
        return given
    raise f.FieldError(f"id: must be an integer from 0 or bin of at most {bounds.ID_BYTES} bytes")


def _echoed(envelope: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Nobody makes the broker carry much: an envelope with an oversized frame is not echoed."""
    return () if any(len(part) > bounds.ENVELOPE_FRAME_BYTES for part in envelope) else envelope


# ---- push -------------------------------------------------------------------------------------


def _headers(value: object) -> bytes | None:
    """Packed again with sorted names: equal headers are equal bytes, also when sent again."""
    if type(value) is not dict:
        raise f.FieldError("must be a map of text to text")
    texts = {f.as_text(name): f.as_text(entry) for name, entry in value.items()}
    return msgpack.packb(dict(sorted(texts.items()))) if texts else None


_SEQUENCE = {"producer": f.token, "seq": f.integer(1)}
_BLOCK = f.Fields({"topic": f.name}, _SEQUENCE)
_LONE = f.Fields(
    {"topic": f.name, "data": f.blob()},
    {"key": f.blob(), "headers": _headers, "timestamp_us": f.integer(1), **_SEQUENCE},
)


def _push(caller: Caller, request: Map, body: Sequence[Frame], limits: Limits) -> Push:
    packed = len(body) == 2
    given = (_BLOCK if packed else _LONE).read(request)
    if ("producer" in given) != ("seq" in given):
        raise f.FieldError("producer and seq: give both or none")
    size = len(body[0]) - len(given.get("data", b""))
    if size > bounds.SMALL_MAP_BYTES:
        text = f"push: a map of at most {bounds.SMALL_MAP_BYTES} bytes besides data, has {size}"
        raise f.FieldError(text, "too_large")
    if not packed:
        return _push_lone(caller, given, limits)
    if extra := request.keys() & {"data", "key", "headers", "timestamp_us"}:
        raise f.FieldError(f"{min(extra)}: not together with a block frame, which has its own")
    return _push_block(caller, given, body[1], limits)


def _push_lone(caller: Caller, given: dict[str, Any], limits: Limits) -> Push:
    data: bytes = given["data"]
    if len(data) > limits.max_message:
        text = f"data: a message of at most {limits.max_message} bytes, has {len(data)}"
        raise f.FieldError(text, "too_large")
    key, headers = given.get("key") or None, given.get("headers")
    item = blocks.Item(data, key, headers, given.get("timestamp_us"))
    size = blocks.LONE_OVERHEAD + len(data) + len(key or b"") + len(headers or b"")
    crc = blocks.single_crc(item)
    return Push(
        caller, given["topic"], item, 1, size, crc, False, given.get("producer"), given.get("seq")
    )


def _push_block(caller: Caller, given: dict[str, Any], frame: Frame, limits: Limits) -> Push:
    size = len(frame)
    if size > limits.max_block:
        text = f"a block of at most {limits.max_block} bytes, has {size}"
        raise f.FieldError(text, "too_large")
    body = to_keep(frame)
    head = blocks.check(buffer_of(body), limits.max_messages, limits.max_message)
    producer, seq = given.get("producer"), given.get("seq")
    return Push(caller, given["topic"], body, head.messages, size, head.crc, True, producer, seq)


def _sequence(request: Map) -> dict[str, object]:
    """What tells a producer which of its pushes was refused."""
    producer, seq = request.get("producer"), request.get("seq")
    if type(producer) is bytes and len(producer) <= bounds.ID_BYTES and type(seq) is int:
        return {"producer": producer, "seq": seq}
    return {}


# ---- the other operations ---------------------------------------------------------------------


def _verdict(given: dict[str, Any]) -> Verdict:
    outcome = Outcome(given["outcome"])
    if "delay_ms" in given and outcome is not Outcome.DEFER:
        raise f.FieldError("delay_ms: goes with the outcome defer only")
    return Verdict(
        given["lease"],
        given["ranges"],
        outcome,
        given.get("reason", ""),
        given.get("delay_ms"),
        given.get("started", True),
    )


_DURATION = f.integer(0, bounds.DURATION_MS_MAX)

_VERDICTS = f.each(
    f.within(
        f.Fields(
            {
                "lease": f.token,
                "ranges": f.ranges(bounds.MAP_ELEMENTS),
                "outcome": f.word(*Outcome),
            },
            {
                "reason": f.cut_text(bounds.REASON_BYTES),
                "delay_ms": _DURATION,
                "started": f.flag,
            },
        ),
        _verdict,
    ),
    0,
    bounds.MAP_ELEMENTS,
)


def _span(value: object) -> tuple[int, int, int]:
    first, to, age_ms = _SPAN(value)
    if first > to:
        raise f.FieldError(f"must be [from, to, age_ms] with from <= to, got {first}, {to}")
    return first, to, age_ms


_SPAN = f.row(f.integer(1), f.integer(1), _DURATION)
_PROGRESS = {
    "working": f.each(_span, 0, bounds.MAP_ELEMENTS),
    "hold": f.each(f.row(f.integer(1), _DURATION), 0, bounds.MAP_ELEMENTS),
}

_POLL = f.Fields(
    {
        "group": f.name,
        "messages": f.integer(),
        "bytes": f.integer(),
        "wait_ms": f.integer(),
    },
    {
        "topics": f.patterns,
        "name": f.name,
        "start": f.start,
        "session": f.token,
        "n": f.integer(1),
        "got": f.integer(),
        "handlers": f.integer(0, bounds.HANDLERS),
        "idle": f.integer(0, bounds.HANDLERS),
        "lease_ms": f.integer(bounds.LEASE_MS_MIN, bounds.LEASE_MS_MAX),
        "live_us": f.integer(),
        "deferred_us": f.integer(),
        "settle": _VERDICTS,
        **_PROGRESS,
    },
)


def _progress(given: dict[str, Any]) -> Progress | None:
    if "working" not in given and "hold" not in given:
        return None
    return Progress(given.get("working", ()), given.get("hold", ()))


def _poll(caller: Caller, given: dict[str, Any]) -> Poll:
    take = given.get
    n, got, handlers, idle = take("n"), take("got"), take("handlers"), take("idle")
    if (n is None) != (take("session") is None):
        raise f.FieldError("session and n: give both or none")
    if got is not None and (n is None or got >= n):
        raise f.FieldError("got: the n of an earlier answer, so less than this poll's n")
    if idle is not None and handlers is not None and idle > handlers:
        raise f.FieldError("idle: at most as many as handlers")
    start, start_us = take("start") or (None, None)
    return Poll(
        caller,
        given["group"],
        take("topics"),
        given["messages"],
        given["bytes"],
        given["wait_ms"],
        take("name", ""),
        start,
        start_us,
        take("session"),
        n,
        got,
        handlers,
        idle,
        take("lease_ms"),
        take("live_us"),
        take("deferred_us"),
        take("settle", ()),
        _progress(given),
    )


def _settle(caller: Caller, given: dict[str, Any]) -> Settle:
    if not given["settle"]:
        raise f.FieldError("settle: must have at least one entry")
    return Settle(caller, given["group"], given["settle"])


def _extend(caller: Caller, given: dict[str, Any]) -> Extend:
    return Extend(caller, given["group"], given["session"], _progress(given) or Progress())


def _goodbye(caller: Caller, given: dict[str, Any]) -> Goodbye:
    return Goodbye(caller, given["group"], given["session"])


def _read(caller: Caller, given: dict[str, Any]) -> Read:
    """`earliest` is position 1; `latest` is neither a position nor a time."""
    start, at_us = given["from"]
    first = {"earliest": 1, "latest": None}.get(start, start)
    return Read(
        caller,
        given["topics"],
        first,
        at_us,
        given.get("until"),
        given.get("limit", bounds.READ_MESSAGES),
        given.get("bytes", bounds.READ_BYTES),
        given.get("wait_ms", 0),
    )


def _hello(caller: Caller, given: dict[str, Any]) -> Hello:
    return Hello(caller, **given)


_IN_GROUP = {"group": f.name, "session": f.token}
_READ = f.Fields(
    {"topics": f.patterns, "from": f.start},
    {"until": f.integer(1), "limit": f.integer(1), "bytes": f.integer(), "wait_ms": f.integer()},
)
_SMALL, _LARGE = bounds.SMALL_MAP_BYTES, bounds.LARGE_MAP_BYTES
_OPS: dict[str, _Op] = {
    "hello": _Op(_SMALL, f.Fields({}, {"client": f.text(bounds.TEXT_BYTES)}), _hello),
    "poll": _Op(_LARGE, _POLL, _poll),
    "settle": _Op(_LARGE, f.Fields({"group": f.name, "settle": _VERDICTS}, {}), _settle),
    "extend": _Op(_LARGE, f.Fields(_IN_GROUP, _PROGRESS), _extend),
    "goodbye": _Op(_SMALL, f.Fields(_IN_GROUP, {}), _goodbye),
    "read": _Op(_SMALL, _READ, _read),
} | {verb: _Op(_LARGE, fields, make) for verb, (fields, make) in OPERATIONS.items()}
