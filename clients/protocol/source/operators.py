"""Vectors of the operators' requests (level 3)."""

from __future__ import annotations

from typing import Any

from clients.protocol.source.blocks import BASE_US
from clients.protocol.source.requests import filler
from clients.protocol.source.vector import bad, good

SETTINGS: dict[str, Any] = {
    "lease_ms": 5_000,
    "max_handling_ms": 10_000,
    "max_hold_ms": 60_000,
    "backoff_ms": [100, 200, 400],
    "max_attempts": 3,
    "live_slice_ms": 50,
    "drain_slice_ms": 20,
    "hand_back_after_ms": 30,
    "max_wait_ms": 600_000,
    "busy_share_ppm": 50_000,
    "idle_after_ms": 5,
    "reserve": 1,
    "max_out": 1_000_000,
    "leases_per_session": 64,
    "deferred_bytes": 1 << 30,
    "dead_bytes": 1 << 30,
}
CREATE: dict[str, Any] = {"op": "group_create", "group": "g", "topics": ["app.*"]}
PARKED: dict[str, Any] = {"op": "parked", "group": "g", "lane": "dead"}
RETRY: dict[str, Any] = {"op": "retry", "group": "g", "lane": "dead", "ranges": [5, 7, 9, 9]}

VECTORS = [
    good("status", {"op": "status", "id": 1}),
    good("topics", {"op": "topics"}),
    good("topics-page", {"op": "topics", "after": "app", "limit": 1_000}),
    good("topic-delete", {"op": "topic_delete", "topic": "app"}),
    good("groups", {"op": "groups", "limit": 1}),
    good("group", {"op": "group", "group": "g"}),
    good("group-create", CREATE),
    good("group-create-whole", CREATE | {"start": "latest", "settings": SETTINGS}),
    good("group-create-at-time", CREATE | {"start": {"time_us": BASE_US}}),
    good("group-set", {"op": "group_set", "group": "g", "topics": ["a", "b"]}),
    good("group-set-backoff", {"op": "group_set", "group": "g", "settings": {"backoff_ms": [0]}}),
    good("group-delete", {"op": "group_delete", "group": "g"}),
    good("parked", PARKED),
    good("parked-page", PARKED | {"after": 17, "limit": 10, "bodies": True}),
    good("parked-ranges", PARKED | {"lane": "deferred", "ranges": [5, 5]}),
    good("retry", RETRY),
    good("drop", RETRY | {"op": "drop", "lane": "deferred"}),
    bad("topics-limit-0", "bad_request", {"op": "topics", "limit": 0}),
    bad("topics-limit-1001", "bad_request", {"op": "topics", "limit": 1_001}),
    bad("topic-delete-pattern", "bad_name", {"op": "topic_delete", "topic": "*"}),
    bad("group-create-no-topics", "bad_request", {"op": "group_create", "group": "g"}),
    bad(
        "group-set-unknown",
        "bad_request",
        {"op": "group_set", "group": "g", "settings": {"lease": 5}},
    ),
    bad(
        "group-set-attempts-0",
        "bad_request",
        {"op": "group_set", "group": "g", "settings": {"max_attempts": 0}},
    ),
    bad(
        "group-set-no-backoff",
        "bad_request",
        {"op": "group_set", "group": "g", "settings": {"backoff_ms": []}},
    ),
    bad("parked-no-lane", "bad_request", {"op": "parked", "group": "g"}),
    bad("parked-live", "bad_request", PARKED | {"lane": "live"}),
    bad("parked-bodies-number", "bad_request", PARKED | {"bodies": 1}),
    bad("retry-no-ranges", "bad_request", {"op": "retry", "group": "g", "lane": "dead"}),
    bad(
        "retry-1001-pairs",
        "bad_request",
        RETRY | {"ranges": [i for i in range(1, 1_002) for _ in "ab"]},
    ),
    bad("retry-map-65537", "too_large", RETRY | {"x": filler(RETRY, 65_537)}),
]
