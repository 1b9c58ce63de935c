"""Requests that are good, and meant: of the leases, numbers and names that the broker just gave.

Owns what a well-behaved crowd of clients would say next. Must never know how it is spoilt.
"""

from __future__ import annotations

import random
from collections import deque
from typing import Any

import msgpack

from laybyd.core.effects import Deliver
from laybyd.wire.block import Item, build
from tests.fuzz.corpus import Message

GROUPS = ("g", "h", "bulk")
TOPICS = ("app", "web", "app.a", "db")
PRODUCERS = tuple(bytes([number]) * 16 for number in range(4))
SESSIONS = tuple(b"session %d" % number for number in range(6))
OUTCOMES = ("ack", "ack", "ack", "fail", "defer", "release", "reject")
KEPT = 64


class Crowd:
    """`heard` takes what was granted; `request` gives the frames of something to say."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._leases: deque[tuple[str, bytes, list[int]]] = deque(maxlen=KEPT)
        self._n: dict[bytes, int] = {}
        self._seq = dict.fromkeys(PRODUCERS, 0)
        self._blocks = [_block(rng) for _ in range(24)]
        self._kinds = (
            *(self._push, self._push, self._block_push, self._block_push, self._seq_push),
            *(self._poll, self._poll, self._poll, self._poll, self._bare_poll),
            *(self._settle, self._settle, self._settle, self._settle, self._extend),
            *(self._goodbye, self._read, self._parked, self._verb, self._group),
        )

    def heard(self, answer: Deliver) -> None:
        for grant in answer.leases:
            ranges = [end for piece in grant.pieces for end in (piece.first, piece.last)]
            self._leases.append((answer.group, grant.lease, ranges))

    def request(self) -> Message:
        fields, *block = self._one_of(self._kinds)()
        if self._rng.random() < 0.5:
            fields["id"] = int(self._rng.random() * 1_000)
        return [msgpack.packb(fields), *block]

    def _one_of(self, choices: Any) -> Any:
        return choices[int(self._rng.random() * len(choices))]

    # ---- producers

    def _push(self) -> Message:
        rng = self._rng
        fields: dict[str, Any] = {"op": "push", "topic": self._one_of(TOPICS)}
        fields["data"] = bytes(int(rng.random() * 40))
        if rng.random() < 0.3:
            fields |= {"key": b"key", "headers": {"host": "web-1"}}
        if rng.random() < 0.3:
            fields["timestamp_us"] = 1_700_000_000_000_000 + int(rng.random() * (1 << 36))
        return [fields]  # type: ignore[list-item]

    def _block_push(self) -> Message:
        return [{"op": "push", "topic": self._one_of(TOPICS)}, self._one_of(self._blocks)]

    def _seq_push(self) -> Message:
        """The next number, or the last once more."""
        producer = self._one_of(PRODUCERS)
        if self._rng.random() < 0.8:
            self._seq[producer] += 1
        seq = max(1, self._seq[producer])
        fields = {"op": "push", "topic": "app", "producer": producer, "seq": seq}
        return [fields, self._blocks[seq % len(self._blocks)]]

    # ---- consumers

    def _bare_poll(self) -> Message:
        fields = {"op": "poll", "group": self._one_of(GROUPS), "topics": ["app*", "web"]}
        return [fields | {"messages": 20, "bytes": 1 << 20, "wait_ms": self._one_of((0, 50))}]

    def _poll(self) -> Message:
        rng, session = self._rng, self._one_of(SESSIONS)
        n = self._n[session] = self._n.get(session, 0) + 1
        fields = {"op": "poll", "group": self._one_of(GROUPS), "session": session, "n": n}
        fields |= {"got": n - 1, "topics": ["app*", "web"], "handlers": 2, "idle": 1}
        fields |= {"messages": int(rng.random() * 50), "bytes": 1 << 20, "wait_ms": 100}
        if rng.random() < 0.3:
            fields["settle"] = self._entries("g")
        if rng.random() < 0.2:
            fields |= {"live_us": self._one_of((0, 50, 1 << 53)), "deferred_us": 1_000}
        if rng.random() < 0.2:
            fields["start"] = self._one_of(("earliest", "latest", 1, {"time_us": 1 << 50}))
        return [fields]

    def _entries(self, group: str) -> list[dict[str, Any]]:
        entries = []
        for _ in range(1 + int(self._rng.random() * 3)):
            of, lease, ranges = self._lease()
            if of == group or self._rng.random() < 0.2:
                entries.append(self._entry(lease, ranges))
        return entries

    def _lease(self) -> tuple[str, bytes, list[int]]:
        return self._one_of(self._leases) if self._leases else ("g", b"no such", [1, 1])

    def _entry(self, lease: bytes, ranges: list[int]) -> dict[str, Any]:
        rng, outcome = self._rng, self._one_of(OUTCOMES)
        if rng.random() < 0.5:
            first = ranges[0]
            ranges = [first, first + int(rng.random() * 3)]
        entry: dict[str, Any] = {"lease": lease, "ranges": ranges, "outcome": outcome}
        if outcome in ("fail", "reject"):
            entry["reason"] = "ValueError: bad"
        if outcome == "defer":
            entry["delay_ms"] = int(rng.random() * 10_000)
        if outcome == "release":
            entry["started"] = rng.random() < 0.5
        return entry

    def _settle(self) -> Message:
        group, lease, ranges = self._lease()
        entries = [self._entry(lease, ranges), *self._entries(group)]
        return [{"op": "settle", "group": group, "settle": entries}]

    def _extend(self) -> Message:
        group, _, ranges = self._lease()
        session, age_ms = self._one_of(SESSIONS), int(self._rng.random() * 60_000)
        fields = {"op": "extend", "group": group, "session": session}
        return [fields | {"working": [[ranges[0], ranges[0], age_ms]], "hold": [[ranges[0], 5]]}]

    def _goodbye(self) -> Message:
        session = self._one_of(SESSIONS)
        return [{"op": "goodbye", "group": self._one_of(GROUPS), "session": session}]

    # ---- readers and operators

    def _read(self) -> Message:
        start = self._one_of(("earliest", "latest", 1, 20, {"time_us": 1 << 50}))
        fields = {"op": "read", "topics": [self._one_of(("*", "app"))], "from": start}
        return [fields | {"limit": 100, "wait_ms": self._one_of((0, 50))}]

    def _parked(self) -> Message:
        """A look into a lane, or a change of it."""
        op, group = self._one_of(("parked", "retry", "drop")), self._one_of(GROUPS)
        fields = {"op": op, "group": group, "lane": self._one_of(("deferred", "dead"))}
        if op == "parked":
            return [fields | {"limit": 20, "bodies": self._rng.random() < 0.5}]
        return [fields | {"ranges": self._lease()[2][:2]}]

    def _verb(self) -> Message:
        verb = self._one_of(("status", "topics", "groups", "group", "hello", "topic_delete"))
        fields: dict[str, Any] = {"op": verb}
        if verb == "group":
            fields["group"] = self._one_of(GROUPS)
        if verb == "topic_delete":
            fields["topic"] = self._one_of(TOPICS)
        return [fields]

    def _group(self) -> Message:
        verb = self._one_of(("group_create", "group_set", "group_set", "group_delete"))
        fields: dict[str, Any] = {"op": verb, "group": self._one_of((*GROUPS, "other"))}
        if verb == "group_create":
            fields |= {"topics": ["*"], "start": "earliest"}
        if verb == "group_set":
            fields["settings"] = {"lease_ms": 5_000, "max_attempts": 2, "backoff_ms": [10]}
        return [fields]


def _block(rng: random.Random) -> bytes:
    """Some messages, some of them with keys, headers and times."""
    rich = rng.random() < 0.5
    base_us = 1_700_000_000_000_000
    return build(
        [
            Item(
                bytes(int(rng.random() * 30)),
                b"key" if rich and rng.random() < 0.7 else None,
                msgpack.packb({"host": "web"}) if rich and rng.random() < 0.5 else None,
                base_us + int(rng.random() * 1_000_000) if rich else None,
            )
            for _ in range(1 + int(rng.random() * 12))
        ]
    )
