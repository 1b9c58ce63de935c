"""Vectors of requests: what a client sends, and how the broker understands or refuses it."""

from __future__ import annotations

from typing import Any

from clients.protocol.source.blocks import BASE_US, FULL, INT_MAX, PLAIN, TIMED
from clients.protocol.source.vector import Vector, bad, good, pack

SESSION = bytes.fromhex("5e55103000000000000000000000000a")
PRODUCER = bytes.fromhex("9a0d000000000000000000000000000b")
LEASE = bytes.fromhex("000000070000000000000001")
TOO_MUCH = INT_MAX + 1
CREDIT_BYTES = 8 << 20

PUSH: dict[str, Any] = {"op": "push", "topic": "app", "data": b"hello"}
POLL: dict[str, Any] = {
    "op": "poll",
    "group": "g",
    "topics": ["app"],
    "messages": 100,
    "bytes": 1 << 20,
    "wait_ms": 5_000,
}
SESSION_POLL = POLL | {"session": SESSION, "n": 3, "got": 2, "handlers": 4, "idle": 1}
ENTRY: dict[str, Any] = {"lease": LEASE, "ranges": [41, 42], "outcome": "ack"}
SETTLE: dict[str, Any] = {"op": "settle", "group": "g", "settle": [ENTRY]}
EXTEND: dict[str, Any] = {"op": "extend", "group": "g", "session": SESSION}
READ: dict[str, Any] = {"op": "read", "topics": ["app.*"], "from": "earliest"}
BLOCK_PUSH: dict[str, Any] = {"op": "push", "topic": "app"}
HELLO: dict[str, Any] = {"op": "hello"}


def without(request: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in request.items() if key not in keys}


def filler(request: dict[str, Any], size: int) -> bytes:
    """The bytes for an unknown key `x` that bring the map to this size (more than 300)."""
    return bytes(size - len(pack(request | {"x": bytes(300)})) + 300)


def settle(**fields: Any) -> dict[str, Any]:
    return SETTLE | {"settle": [ENTRY | fields]}


def loose(name: str, sent: dict[str, Any], meaning: dict[str, Any], note: str = "") -> Vector:
    """Understood, but not what an encoder would write."""
    return Vector(name, [pack(sent)], meaning, exact=False, note=note)


_PUSHES = [
    good("push-shortest", PUSH),
    good(
        "push-lone",
        PUSH | {"id": 1, "key": b"host-1", "headers": {"host": "web-1"}, "timestamp_us": BASE_US},
    ),
    good("push-empty-data", PUSH | {"data": b""}),
    good("push-seq", PUSH | {"producer": PRODUCER, "seq": 1}),
    good("push-seq-highest", PUSH | {"producer": PRODUCER, "seq": INT_MAX}),
    good("push-shortest-producer", PUSH | {"producer": b"p", "seq": 1}),
    good("push-time-highest", PUSH | {"timestamp_us": INT_MAX}),
    good("push-id-highest", PUSH | {"id": INT_MAX}),
    good("push-id-bytes", PUSH | {"id": b"0123456789abcdef"}),
    good("push-block", BLOCK_PUSH, PLAIN.bytes()),
    good("push-block-full", BLOCK_PUSH | {"producer": PRODUCER, "seq": 2}, FULL.bytes()),
    good("push-block-timed", BLOCK_PUSH | {"id": 7}, TIMED.bytes()),
    good("push-bench-topic", PUSH | {"topic": "layby.bench.x"}),
    good("push-longest-topic", PUSH | {"topic": "t" * 200}),
    good("push-dots", PUSH | {"topic": ".."}, note="only the characters are restricted"),
    loose("push-unknown-key", PUSH | {"color": ["red", {"a": None}]}, PUSH),
    loose("push-topic-as-bin", PUSH | {"topic": b"app"}, PUSH),
    loose("push-op-as-bin", PUSH | {"op": b"push"}, PUSH),
    loose("push-empty-key", PUSH | {"key": b""}, PUSH, note="an empty key is no key"),
    loose("push-empty-headers", PUSH | {"headers": {}}, PUSH),
    loose(
        "push-map-4096",
        PUSH | {"x": filler(PUSH, 4_096 + len(PUSH["data"]))},
        PUSH,
        note="a map of 4,096 bytes besides its data",
    ),
    bad("push-map-4097", "too_large", PUSH | {"x": filler(PUSH, 4_097 + len(PUSH["data"]))}),
    bad("push-data-as-str", "bad_request", PUSH | {"data": "hello"}),
    bad("push-data-nil", "bad_request", PUSH | {"data": None}),
    bad("push-no-data", "bad_request", without(PUSH, "data")),
    bad("push-no-topic", "bad_request", without(PUSH, "topic")),
    bad("push-data-and-block", "bad_request", PUSH, PLAIN.bytes()),
    bad("push-key-and-block", "bad_request", BLOCK_PUSH | {"key": b"k"}, PLAIN.bytes()),
    bad("push-headers-and-block", "bad_request", BLOCK_PUSH | {"headers": {}}, PLAIN.bytes()),
    bad("push-time-and-block", "bad_request", BLOCK_PUSH | {"timestamp_us": 1}, PLAIN.bytes()),
    bad("push-bad-block", "bad_block", BLOCK_PUSH, PLAIN.bytes()[:-1]),
    bad("push-key-as-str", "bad_request", PUSH | {"key": "k"}),
    bad("push-header-not-text", "bad_request", PUSH | {"headers": {"a": 1}}),
    bad("push-headers-not-map", "bad_request", PUSH | {"headers": ["a", "b"]}),
    bad("push-time-0", "bad_request", PUSH | {"timestamp_us": 0}),
    bad("push-time-negative", "bad_request", PUSH | {"timestamp_us": -1}),
    bad("push-time-float", "bad_request", PUSH | {"timestamp_us": 1.5}),
    bad("push-time-bool", "bad_request", PUSH | {"timestamp_us": True}),
    bad("push-time-2-53", "bad_request", PUSH | {"timestamp_us": TOO_MUCH}),
    bad("push-seq-0", "bad_request", PUSH | {"producer": PRODUCER, "seq": 0}),
    bad("push-seq-2-53", "bad_request", PUSH | {"producer": PRODUCER, "seq": TOO_MUCH}),
    bad("push-seq-without-producer", "bad_request", PUSH | {"seq": 1}),
    bad("push-producer-without-seq", "bad_request", PUSH | {"producer": PRODUCER}),
    bad(
        "push-producer-17-bytes", "bad_request", PUSH | {"producer": b"0123456789abcdefg", "seq": 1}
    ),
    bad("push-producer-empty", "bad_request", PUSH | {"producer": b"", "seq": 1}),
    bad("push-producer-as-str", "bad_request", PUSH | {"producer": "p", "seq": 1}),
    bad("push-id-17-bytes", "bad_request", PUSH | {"id": b"0123456789abcdefg"}),
    bad("push-id-as-str", "bad_request", PUSH | {"id": "1"}),
    bad("push-id-negative", "bad_request", PUSH | {"id": -1}),
    bad("push-id-2-53", "bad_request", PUSH | {"id": TOO_MUCH}),
    bad("push-topic-empty", "bad_name", PUSH | {"topic": ""}),
    bad("push-topic-201", "bad_name", PUSH | {"topic": "t" * 201}),
    bad("push-topic-reserved", "bad_name", PUSH | {"topic": "layby.x"}),
    bad("push-topic-pattern", "bad_name", PUSH | {"topic": "app.*"}),
    bad("push-topic-number", "bad_request", PUSH | {"topic": 7}),
]

_POLLS = [
    good("poll-level-1", POLL),
    good("poll-session", SESSION_POLL | {"id": 9, "name": "worker-1", "settle": [ENTRY]}),
    good("poll-first-of-session", POLL | {"session": SESSION, "n": 1, "got": 0}),
    good(
        "poll-take-back",
        without(SESSION_POLL, "topics") | {"messages": 0, "bytes": 0, "wait_ms": 0},
    ),
    good("poll-progress", SESSION_POLL | {"working": [[41, 42, 17]], "hold": [[41, 60_000]]}),
    good("poll-nothing-started", SESSION_POLL | {"working": []}),
    loose("poll-empty-settle", POLL | {"settle": []}, POLL),
    loose("poll-map-65536", POLL | {"x": filler(POLL, 65_536)}, POLL),
    bad("poll-map-65537", "too_large", POLL | {"x": filler(POLL, 65_537)}),
    good("poll-start-latest", POLL | {"start": "latest"}),
    good("poll-start-position", POLL | {"start": 42}),
    good("poll-start-time", POLL | {"start": {"time_us": BASE_US}}),
    loose(
        "poll-highest",
        POLL | {"messages": INT_MAX, "bytes": INT_MAX, "wait_ms": INT_MAX},
        POLL | {"messages": INT_MAX, "bytes": CREDIT_BYTES, "wait_ms": INT_MAX},
        note="more bytes than credit_bytes count as that",
    ),
    good("poll-lease", POLL | {"lease_ms": 10}),
    good("poll-times", SESSION_POLL | {"live_us": 850, "deferred_us": 0}),
    bad("poll-live-us-negative", "bad_request", POLL | {"live_us": -1}),
    bad("poll-deferred-us-float", "bad_request", POLL | {"deferred_us": 1.5}),
    good("poll-patterns", POLL | {"topics": ["*", "app.*.log", "layby.bench.*"]}),
    good("poll-64-topics", POLL | {"topics": [f"t{i}" for i in range(64)]}),
    bad("poll-no-group", "bad_request", without(POLL, "group")),
    bad("poll-no-messages", "bad_request", without(POLL, "messages")),
    bad("poll-no-bytes", "bad_request", without(POLL, "bytes")),
    bad("poll-no-wait", "bad_request", without(POLL, "wait_ms")),
    bad("poll-messages-negative", "bad_request", POLL | {"messages": -1}),
    bad("poll-messages-2-53", "bad_request", POLL | {"messages": TOO_MUCH}),
    bad("poll-session-without-n", "bad_request", without(SESSION_POLL, "n", "got")),
    bad("poll-n-without-session", "bad_request", without(SESSION_POLL, "session")),
    bad("poll-n-0", "bad_request", SESSION_POLL | {"n": 0, "got": 0}),
    bad("poll-got-is-n", "bad_request", SESSION_POLL | {"got": 3}),
    bad("poll-idle-over-handlers", "bad_request", SESSION_POLL | {"idle": 5}),
    bad("poll-no-topics", "bad_request", POLL | {"topics": []}),
    bad("poll-65-topics", "bad_request", POLL | {"topics": [f"t{i}" for i in range(65)]}),
    bad("poll-topics-not-array", "bad_request", POLL | {"topics": "app"}),
    bad("poll-bad-pattern", "bad_name", POLL | {"topics": ["app.?"]}),
    bad("poll-group-pattern", "bad_name", POLL | {"group": "g*"}),
    bad("poll-bad-consumer", "bad_name", POLL | {"name": "worker 1"}),
    bad("poll-start-word", "bad_request", POLL | {"start": "now"}),
    bad("poll-start-0", "bad_request", POLL | {"start": 0}),
    bad("poll-lease-too-short", "bad_request", POLL | {"lease_ms": 9}),
    bad("poll-lease-too-long", "bad_request", POLL | {"lease_ms": 3_600_001}),
    bad("poll-with-block", "bad_request", POLL, PLAIN.bytes()),
]

_SETTLES = [
    good("settle", SETTLE),
    good("settle-fail", settle(outcome="fail", reason="ValueError: not a number")),
    good("settle-defer", settle(outcome="defer", delay_ms=60_000, reason="rate")),
    good("settle-defer-at-once", settle(outcome="defer")),
    good("settle-release", settle(outcome="release", started=False)),
    good("settle-reject", settle(outcome="reject", reason="bad line")),
    good("settle-ranges", settle(ranges=[1, 1, 3, 7, 8, INT_MAX])),
    good(
        "settle-two", SETTLE | {"settle": [ENTRY, ENTRY | {"ranges": [43, 43], "outcome": "fail"}]}
    ),
    loose(
        "settle-long-reason",
        settle(outcome="fail", reason="r" * 1_500),
        settle(outcome="fail", reason="r" * 1_024),
    ),
    bad("settle-none", "bad_request", SETTLE | {"settle": []}),
    bad("settle-no-settle", "bad_request", without(SETTLE, "settle")),
    bad("settle-not-maps", "bad_request", SETTLE | {"settle": [1]}),
    bad("settle-no-lease", "bad_request", SETTLE | {"settle": [without(ENTRY, "lease")]}),
    bad("settle-lease-empty", "bad_request", settle(lease=b"")),
    bad("settle-lease-17-bytes", "bad_request", settle(lease=b"0123456789abcdefg")),
    bad("settle-lease-as-str", "bad_request", settle(lease="abc")),
    bad("settle-no-ranges", "bad_request", settle(ranges=[])),
    bad("settle-odd-ranges", "bad_request", settle(ranges=[1, 2, 3])),
    bad("settle-position-0", "bad_request", settle(ranges=[0, 1])),
    bad("settle-from-after-to", "bad_request", settle(ranges=[2, 1])),
    bad("settle-descending", "bad_request", settle(ranges=[5, 6, 1, 2])),
    bad("settle-overlapping", "bad_request", settle(ranges=[1, 5, 5, 6])),
    bad("settle-position-2-53", "bad_request", settle(ranges=[1, TOO_MUCH])),
    bad("settle-nested-ranges", "bad_request", settle(ranges=[[1, 2]])),
    bad("settle-unknown-outcome", "bad_request", settle(outcome="nack")),
    bad("settle-delay-with-ack", "bad_request", settle(delay_ms=1)),
    bad(
        "settle-delay-too-long",
        "bad_request",
        settle(outcome="defer", delay_ms=366 * 86_400_000 + 1),
    ),
    bad("settle-started-not-bool", "bad_request", settle(outcome="release", started=1)),
]

_OTHERS = [
    good("hello", {"op": "hello", "id": 1, "client": "layby-go 0.1"}),
    good("hello-bare", HELLO),
    good("hello-client-200", HELLO | {"client": "c" * 200}),
    bad("hello-client-201", "bad_request", HELLO | {"client": "c" * 201}),
    good("extend", EXTEND | {"working": [[41, 41, 1_250], [43, 44, 3]], "hold": [[41, 60_000]]}),
    good("extend-nothing-started", EXTEND | {"working": []}),
    loose("extend-bare", EXTEND, EXTEND | {"working": []}),
    loose("hello-map-4096", HELLO | {"x": filler(HELLO, 4_096)}, HELLO),
    bad("hello-map-4097", "too_large", HELLO | {"x": filler(HELLO, 4_097)}),
    good("goodbye", {"op": "goodbye", "group": "g", "session": SESSION}),
    good("read", READ | {"until": 1_000, "limit": 500, "bytes": 65_536, "wait_ms": 1_000}),
    loose("read-bytes", READ | {"bytes": CREDIT_BYTES + 1}, READ | {"bytes": CREDIT_BYTES}),
    good("read-latest", READ | {"from": "latest"}),
    good("read-position", READ | {"from": 17}),
    good("read-time", READ | {"from": {"time_us": BASE_US}}),
    bad("extend-no-session", "bad_request", without(EXTEND, "session")),
    bad("extend-pair", "bad_request", EXTEND | {"working": [[41, 41]]}),
    bad("extend-from-after-to", "bad_request", EXTEND | {"working": [[42, 41, 0]]}),
    bad("extend-age-negative", "bad_request", EXTEND | {"working": [[41, 41, -1]]}),
    bad("extend-hold-0", "bad_request", EXTEND | {"hold": [[0, 1]]}),
    bad("goodbye-no-session", "bad_request", {"op": "goodbye", "group": "g"}),
    bad("read-no-from", "bad_request", without(READ, "from")),
    bad("read-no-topics", "bad_request", without(READ, "topics")),
    bad("read-limit-0", "bad_request", READ | {"limit": 0}),
    bad("unknown-op", "unknown_op", {"op": "publish", "topic": "app"}),
    bad("unknown-op-case", "unknown_op", PUSH | {"op": "Push"}),
    bad("op-missing", "bad_request", without(PUSH, "op")),
    bad("op-number", "bad_request", PUSH | {"op": 1}),
]

VECTORS = [*_PUSHES, *_POLLS, *_SETTLES, *_OTHERS]
