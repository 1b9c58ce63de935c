"""What a real daemon answers has the fields that PROTOCOL.md promises, no more and no fewer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from clients.protocol.source import answers
from clients.protocol.source.vector import Vector

if TYPE_CHECKING:
    from tests.integration.daemon_process import Peer, Peers

pytestmark = pytest.mark.integration

PROMISED: dict[str, Vector] = {vector.name: vector for vector in answers.VECTORS}
SESSION = b"session"


def fields(value: Any) -> Any:
    """Keys of maps and types of values, all the way down; lists by their first entry."""
    if isinstance(value, dict):
        return {key: fields(entry) for key, entry in sorted(value.items())}
    if isinstance(value, list | tuple):
        return [fields(entry) for entry in value[:1]]
    return type(value).__name__


def promised(name: str, **changed: Any) -> Any:
    meaning = dict(PROMISED[name].meaning) | {"id": b""} | changed  # type: ignore[call-overload]
    return fields(meaning)


@pytest.fixture
def peer(peers: Peers) -> Peer:
    """Three messages are out with a session; one has failed, one was rejected."""
    peer = peers.peer()
    for data in (b"a", b"b", b"c"):
        peer.ask("push", topic="app.web", data=data)
    lease = poll(peer, n=1, got=0)["leases"][0]["lease"]
    outcomes = [("fail", [1, 1]), ("reject", [2, 2]), ("ack", [3, 3])]
    entries = [
        {"lease": lease, "ranges": ranges, "outcome": outcome, "reason": "why"}
        for outcome, ranges in outcomes
    ]
    peer.ask("settle", group="g", settle=entries)
    return peer


def poll(peer: Peer, **changed: Any) -> Any:
    usual = {"topics": ["app.*"], "messages": 9, "bytes": 9_999, "wait_ms": 5_000, "name": "w"}
    session = {"session": SESSION, "handlers": 2, "idle": 2}
    return peer.ask("poll", group="g", **usual | session | changed)


def test_levels_1_and_2(peer):
    assert fields(peer.ask("hello").map) == promised("hello", features=[])
    pushed = peer.ask("push", topic="app.web", data=b"d")
    assert fields(pushed.map) == promised("push")
    delivered = poll(peer, n=2, got=1)
    assert fields(delivered.map) == promised("poll-one-lease")
    lease = delivered["leases"][0]["lease"]
    assert fields(peer.ask("extend", group="g", session=SESSION).map) == promised("extend")
    stopped = peer.ask("extend", group="g", session=SESSION, working=[[77, 77, 5]])
    assert fields(stopped.map) == promised("extend-stop")
    entry = {"lease": b"no such lease", "ranges": [4, 4], "outcome": "ack"}
    lost = peer.ask("settle", group="g", settle=[entry])
    assert fields(lost.map) == promised("settle-lost")
    settled = peer.ask("settle", group="g", settle=[entry | {"lease": lease}])
    assert fields(settled.map) == promised("settle")
    assert fields(poll(peer, n=3, got=2, wait_ms=0).map) == promised("poll-level-1")
    assert fields(peer.ask("goodbye", group="g", session=SESSION).map) == promised("goodbye")
    read = peer.ask("read", topics=["*"], **{"from": "earliest"})
    assert fields(read.map) == promised("read")


def test_retried_messages_carry_their_past(peer):
    peer.ask("retry", group="g", lane="deferred", ranges=[1, 1])
    lease = poll(peer, n=2, got=1)["leases"][0]
    assert fields(lease) == fields(answers.RETRIED)


def test_level_3(peer):
    status = peer.ask("status").map
    assert fields(status | {"refused": {}}) == promised("status", refused={})
    assert fields(peer.ask("topics").map) == promised("topics")
    assert fields(peer.ask("groups").map) == promised("groups")
    assert fields(peer.ask("group", group="g").map) == promised("group")
    assert fields(peer.ask("parked", group="g", lane="dead").map) == promised("parked")
    bodies = peer.ask("parked", group="g", lane="dead", bodies=True)
    assert fields(bodies.map) == promised("parked-bodies")
    assert len(bodies.blocks) == 1
    retried = peer.ask("retry", group="g", lane="dead", ranges=[2, 2, 9, 9])
    assert fields(retried.map) == promised("retry")
    changed = peer.ask("group_set", group="g", settings={"lease_ms": 1_000})
    assert fields(changed.map) == promised("group-set")


def test_sequences(peer):
    peer.send("push", topic="app.web", data=b"d", producer=b"p", seq=1)
    confirm = peer.receive(5_000)
    assert confirm is not None
    assert fields(confirm.map) == fields(PROMISED["confirm"].meaning)
    peer.send("push", topic="app.web", data=b"d", producer=b"p", seq=9)
    refusal = peer.receive(5_000)
    assert refusal is not None
    assert fields(refusal.map) == promised("refusal-seq-gap")
