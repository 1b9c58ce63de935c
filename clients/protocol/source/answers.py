"""Vectors of answers: what the broker sends, and what a client must see in it."""

from __future__ import annotations

from typing import Any

from clients.protocol.source.blocks import BASE_US, FULL, INT_MAX, PLAIN
from clients.protocol.source.operators import SETTINGS
from clients.protocol.source.requests import LEASE, PRODUCER, SESSION
from clients.protocol.source.vector import Vector, good, pack

OK: dict[str, Any] = {"ok": True, "boot": 7}


def refusal(code: str, fault: str, retryable: bool, **fields: Any) -> dict[str, Any]:
    lead = {"ok": False, "boot": 7, "code": code, "fault": fault, "retryable": retryable}
    return lead | {"retry_ms": 0, "text": "what is wrong"} | fields


LEASED: dict[str, Any] = {
    "lease": LEASE,
    "topic": "app",
    "lane": "live",
    "grant": 12,
    "lease_ms": 30_000,
    "ranges": [41, 42],
    "at_us": BASE_US,
}
LINE: dict[str, Any] = {
    "at_us": BASE_US,
    "reason": "ValueError: not a number",
    "consumer": "worker-1",
    "counted": True,
}
RETRIED: dict[str, Any] = LEASED | {
    "lane": "deferred",
    "ranges": [40, 40, 17, 17],
    "attempts": [1, 0],
    "deliveries": [2, 3],
    "history": [[LINE], []],
}
PAGE: dict[str, Any] = {
    "from": 41,
    "to": 41,
    "topic": "app",
    "attempts": 6,
    "due_us": 0,
    "bytes": 120,
    "alone": True,
    "generation": 0,
    "history": [LINE],
}
GROUP: dict[str, Any] = {
    "name": "g",
    "topics": ["app.*"],
    "floor": 41,
    "waiting": 900,
    "out": 100,
    "deferred": 3,
    "dead": 1,
    "sessions": 1,
    "handlers": 4,
}


def _delivered(*leases: dict[str, Any], **fields: Any) -> dict[str, Any]:
    answer = OK | {"n": 3, "leases": list(leases), "refused": []}
    return answer | ({"hand_back_ms": 30} if leases else {}) | fields


_DELIVERIES = [
    good("poll-one-lease", _delivered(LEASED, id=9), PLAIN.bytes()),
    good(
        "poll-two-leases",
        _delivered(LEASED, LEASED | {"topic": "web", "grant": 13, "ranges": [50, 51]}),
        PLAIN.bytes(),
        FULL.bytes(),
    ),
    good("poll-deferred", _delivered(RETRIED), PLAIN.bytes()),
    good("poll-hand-back-0", _delivered(LEASED, hand_back_ms=0), PLAIN.bytes()),
    good("poll-alone", _delivered(LEASED | {"lane": "deferred", "alone": True}), PLAIN.bytes()),
    good(
        "poll-settle-refused",
        _delivered(
            refused=[{"lease": LEASE, "ranges": [41, 42], "code": "lease_lost"}], why="nothing"
        ),
    ),
    good("poll-level-1", _delivered(n=0, why="nothing")),
    *(
        good(f"poll-why-{why.replace(' ', '-')}", _delivered(why=why))
        for why in ("replaced", "taken back", "restart grace", "quiescing", "max out", "deleted")
    ),
    Vector(
        "poll-unknown-key",
        [pack(_delivered(LEASED | {"color": "red"}, mood=1)), PLAIN.bytes()],
        _delivered(LEASED),
        exact=False,
        note="a client ignores what it does not know",
    ),
    good(
        "poll-position-highest",
        _delivered(LEASED | {"ranges": [INT_MAX - 1, INT_MAX]}),
        PLAIN.bytes(),
    ),
]

_READS = [
    good(
        "read",
        OK | {"next": 43, "blocks": [{"topic": "app", "ranges": [41, 42], "at_us": BASE_US}]},
        PLAIN.bytes(),
    ),
    good("read-nothing", OK | {"next": 43, "blocks": []}),
]

_PUSHES = [
    good("push", OK | {"id": 1, "first": 41, "count": 1}),
    good("push-id-bytes", OK | {"id": b"0123456789abcdef", "first": INT_MAX, "count": 1}),
    good(
        "confirm",
        OK | {"op": "confirm", "producer": PRODUCER, "from": 1, "upto": 3, "first": [41, 42, 44]},
    ),
    good(
        "confirm-forgotten",
        OK | {"op": "confirm", "producer": PRODUCER, "from": 1, "upto": 1, "first": [0]},
        note="a repeat whose position is no longer known",
    ),
]

_REFUSALS = [
    good(
        "refusal",
        refusal(
            "bad_name",
            "yours",
            False,
            id=1,
            text="topic: a name is 1 to 200 of A-Z a-z 0-9 . _ -, got 'a b'",
        ),
    ),
    good("refusal-without-id", refusal("bad_request", "yours", False)),
    good(
        "refusal-seq-gap", refusal("seq_gap", "yours", True, producer=PRODUCER, seq=9, expected=4)
    ),
    good(
        "refusal-busy",
        refusal("busy", "ours", True, retry_ms=100, producer=PRODUCER, seq=4, expected=4),
    ),
    good("refusal-store-full", refusal("store_full", "ours", True, retry_ms=1_000)),
    good(
        "refusal-unknown-code",
        refusal("from_the_future", "ours", True, retry_ms=5),
        note="a client acts by retryable",
    ),
]

_OTHERS = [
    good("settle", OK | {"refused": []}),
    good(
        "settle-lost",
        OK | {"refused": [{"lease": LEASE, "ranges": [41, 41], "code": "lease_lost"}]},
    ),
    good("extend", OK),
    good("extend-stop", OK | {"refused": [{"ranges": [41, 41], "code": "lease_lost"}]}),
    good("goodbye", OK),
    good(
        "hello",
        OK
        | {
            "id": 1,
            "version": 1,
            "server": "layby 0.1.0",
            "store": bytes(range(16)),
            "epoch": 1,
            "limits": {
                "max_message": 1 << 20,
                "max_block": 2 << 20,
                "max_messages": 65_536,
                "wait_ms": 30_000,
                "pushes_in_flight": 1_024,
                "credit_bytes": 8 << 20,
            },
            "features": [],
        },
    ),
    good(
        "status",
        OK
        | {
            "state": "serving",
            "version": "0.1.0",
            "uptime_ms": 12_345,
            "topics": 3,
            "groups": 1,
            "sessions": 1,
            "deferred": 3,
            "dead": 1,
            "pins": "",
            "refused": {"bad_request": 2, "seq_gap": 1},
            "store": {
                "kind": "lmdb",
                "id": bytes(range(16)),
                "epoch": 1,
                "start": 1,
                "end": 1_001,
                "used": 1 << 20,
                "limit": 10 << 30,
                "segments": 1,
                "full": False,
            },
        },
    ),
    good(
        "topics",
        OK
        | {
            "topics": [
                {
                    "name": "app",
                    "first": 1,
                    "last": 1_000,
                    "messages": 900,
                    "bytes": 180_000,
                    "last_us": BASE_US,
                    "groups": 1,
                }
            ],
            "more": False,
        },
    ),
    good("groups", OK | {"groups": [GROUP], "more": True}),
    good(
        "group",
        OK
        | GROUP
        | {
            "start": 1,
            "made_us": BASE_US,
            "settings": SETTINGS,
            "sessions_list": [
                {
                    "session": SESSION,
                    "name": "worker-1",
                    "handlers": 4,
                    "idle": 1,
                    "leases": 2,
                    "out": 100,
                }
            ],
        },
    ),
    good("group-set", OK),
    good("parked", OK | {"parked": [PAGE], "more": False}),
    good(
        "parked-bodies",
        OK | {"parked": [PAGE | {"to": 42, "alone": False}], "more": False},
        PLAIN.bytes(),
    ),
    good("retry", OK | {"done": 3, "missing": [9, 9]}),
]

VECTORS = [*_PUSHES, *_REFUSALS, *_DELIVERIES, *_OTHERS, *_READS]
