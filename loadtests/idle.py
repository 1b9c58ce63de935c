"""`python -m loadtests.idle`: what a daemon costs that has little to do, and much to keep.

Owns three measurements, each of CPU and of memory that is the daemon's own (anonymous and shared;
mapped pages of the store do not count): with nothing at all; with a backlog of ten million
messages and a group that reads it; with ten million blocks of one message, and the time to be
ready again after a restart. Exit 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import zmq

from laybyd.store.base import NewBlock
from laybyd.store.lmdb_store import LmdbStore
from loadtests.daemon import DaemonProcess
from loadtests.wire import Peer, block, pairs

if TYPE_CHECKING:
    from collections.abc import Callable

MB = 1e6
CPU_MAX, IDLE_MB_MAX, BACKLOG_MB_MAX, READY_S_MAX = 1.0, 80.0, 150.0, 2.0
PER_BLOCK = 300
PER_COMMIT = 20_000
TOPIC, GROUP = "app", "reader"
SETTINGS = {"store.max_bytes": "40GiB"}
WATCH_S = 10.0


def fill(store: Path, blocks: int, per_block: int) -> None:
    """Blocks of 200 B messages, straight into a new store, as the daemon would have left it."""
    made = LmdbStore(store, 40 << 30)
    fence = made.acquire()
    one = NewBlock(TOPIC, per_block, block([b"x" * 200] * per_block))
    batch = max(1, PER_COMMIT // per_block)
    for done in range(0, blocks, batch):
        made.append(fence, [one] * min(batch, blocks - done), time.time_ns() // 1_000 + done)
    made.close()


def read_some(peer: Peer, seconds: float) -> int:
    """A group works through the backlog for a while."""
    read, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        answer = peer.ask(
            "poll", group=GROUP, topics=[TOPIC], messages=2_000, bytes=1 << 20, wait_ms=1_000
        )
        entries = [
            {"lease": lease["lease"], "ranges": lease["ranges"], "outcome": "ack"}
            for lease in answer["leases"]
        ]
        read += sum(b - a + 1 for lease in answer["leases"] for a, b in pairs(lease["ranges"]))
        if entries:
            peer.ask("settle", group=GROUP, settle=entries)
    return read


def watched(daemon: DaemonProcess) -> tuple[float, float]:
    """(per cent of a core, MB) while nothing is asked of the daemon."""
    before = daemon.cpu_s()
    time.sleep(WATCH_S)
    return (daemon.cpu_s() - before) / WATCH_S * 100, daemon.memory_bytes() / MB


def bar(name: str, value: float, limit: float, unit: str) -> bool:
    mark = "passed" if value <= limit else "MISSED"
    print(f"  {mark}  {name:30} {value:8.2f} {unit}, at most {limit:g}", flush=True)
    return value <= limit


def idle(folder: Path, _: int) -> bool:
    print("a daemon with nothing to do")
    with DaemonProcess(folder, SETTINGS) as daemon:
        cpu, memory = watched(daemon)
    return bar("CPU", cpu, CPU_MAX, "%") & bar("memory", memory, IDLE_MB_MAX, "MB")


def backlog(folder: Path, messages: int) -> bool:
    print(f"a backlog of {messages:,} messages of 200 B")
    return kept(folder, messages // PER_BLOCK, PER_BLOCK)


def small_blocks(folder: Path, messages: int) -> bool:
    print(f"{messages:,} blocks of one message of 200 B")
    return kept(folder, messages, 1)


def kept(folder: Path, blocks: int, per_block: int) -> bool:
    """Memory after the start, while a group reads, and the time of a restart."""
    daemon = DaemonProcess(folder, SETTINGS)
    fill(daemon.store, blocks, per_block)
    with daemon, zmq.Context() as context:
        good = bar("memory after the start", daemon.memory_bytes() / MB, BACKLOG_MB_MAX, "MB")
        peer = Peer(context, daemon.url)
        read = read_some(peer, WATCH_S)
        print(f"          a group has read {read:,} messages")
        good &= bar("memory with a group reading", daemon.memory_bytes() / MB, BACKLOG_MB_MAX, "MB")
        cpu, _ = watched(daemon)
        good &= bar("CPU once nobody reads", cpu, CPU_MAX, "%")
        daemon.kill()
        began = time.monotonic()
        daemon.start()
        good &= bar("ready after a restart", time.monotonic() - began, READY_S_MAX, "s")
        peer.close()
    return good


PARTS: dict[str, Callable[[Path, int], bool]] = {
    "idle": idle,
    "backlog": backlog,
    "blocks": small_blocks,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="loadtests.idle", description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000_000)
    parser.add_argument("--only", choices=PARTS)
    options = parser.parse_args()
    good = True
    for name in [options.only] if options.only else PARTS:
        with tempfile.TemporaryDirectory(prefix="layby-idle-") as folder:
            good &= PARTS[name](Path(folder), options.messages)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
