"""`python -m tests.formats.make NAME`: a small store of the format of today, with everything in it.

Run once for a release; what it wrote is committed and never made again. Owns what is put into it,
by a real daemon, and the list of what must be found in it.
"""

from __future__ import annotations

import json
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadtests.daemon import DaemonProcess
from loadtests.wire import Peer, block, bodies, deliveries
from tests.integration.daemon_process import Peers, acks, poll, read_back, verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
SETTINGS = {
    "store.segment_bytes": "256KiB",
    "store.max_bytes": "16MiB",
    "limits.max_block": "64KiB",
    "limits.max_message": "32KiB",
    "groups.backoff": "[300d]",
    "groups.lease": "60s",
    "broker.restart_grace": "0s",
}
GROUPS = ("busy", "idle")
LANES = ("deferred", "dead")
BLOCKS = 90
PER_BLOCK = 10
BODY = 480


def fill(peer: Peer) -> None:
    """Pushes with and without a sequence; acks with holes; parked messages of either lane."""
    peer.ask("group_create", group="busy", topics=["app.*"], start="earliest")
    peer.ask("group_create", group="idle", topics=["app.a"], start="earliest")
    for number in range(BLOCKS):
        frame = block(
            [b"%06d" % (number * PER_BLOCK + at) * (BODY // 6) for at in range(PER_BLOCK)]
        )
        topic = f"app.{'ab'[number % 2]}"
        if number % 3:
            told = {"producer": b"producer-%d" % (number % 3), "seq": number // 3 + 1}
            peer.send("push", frame, topic=topic, **told)
            confirmed = peer.receive(10_000)
            assert confirmed is not None
            assert confirmed["ok"], confirmed.map
        else:
            peer.ask("push", frame, topic=topic)
    found = []
    while len(found) < BLOCKS * PER_BLOCK // 2:
        found += deliveries(poll(peer, "busy", topics=["app.*"], messages=50, wait_ms=2_000))
    kept = [one for one in found if one.position % 7]
    failed = [one for one in kept if one.position % 31 == 1]
    rejected = [one for one in kept if one.position % 37 == 2]
    rest = [one for one in kept if one not in failed and one not in rejected]
    entries = acks(rest)
    entries += [verdict(one.lease, [one.position], "fail") for one in failed]
    entries += [verdict(one.lease, [one.position], "reject") for one in rejected]
    for at in range(0, len(entries), 20):
        peer.ask("settle", group="busy", settle=entries[at : at + 20])


def contents(peer: Peer) -> dict[str, Any]:
    """All that a stranger can be told of a store, as JSON."""
    log = [[at, topic, data[:6].decode(), len(data)] for at, topic, data in read_back(peer)]
    groups = [peer.ask("group", group=name).map for name in GROUPS]
    told = [
        {key: one[key] for key in ("group", "topics", "waiting", "deferred", "dead") if key in one}
        for one in groups
    ]
    parked = {
        f"{name}.{lane}": [list(one) for one in _parked(peer, name, lane)]
        for name in GROUPS
        for lane in LANES
    }
    return {"log": log, "groups": told, "parked": parked}


def _parked(peer: Peer, group: str, lane: str) -> Iterator[tuple[Any, ...]]:
    after = 0
    while True:
        answer = peer.ask("parked", group=group, lane=lane, limit=16, after=after, bodies=True)
        for item, frame in zip(answer["parked"], answer.blocks, strict=True):
            data = [[one[:6].decode(), len(one)] for one in bodies(frame)]
            yield item["from"], item["to"], item["topic"], item["attempts"], item["due_us"], data
            after = item["to"]
        if not answer["more"]:
            return


def main() -> None:
    (name,) = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        daemon = DaemonProcess(Path(folder), SETTINGS)
        daemon.start()
        peers = Peers(daemon.url)
        fill(peers.peer())
        daemon.restart()
        found = contents(peers.peer())
        peers.close()
        daemon.kill()
        (HERE / f"{name}.json").write_text(json.dumps(found) + "\n")
        with tarfile.open(HERE / f"{name}.tar.xz", "w:xz", preset=9) as packed:
            for path in sorted(daemon.store.iterdir()):
                if path.name == "state.lmdb" or (
                    path.name[0].isdigit() and "lock" not in path.name
                ):
                    packed.add(path, path.name)


if __name__ == "__main__":
    main()
