"""`python -m loadtests.live_first`: the promise that poison never delays live messages, measured.

Three experiments, each on daemons of its own: live latency with one per cent poison and a defer
queue full of due messages, against clean runs, interleaved; the defer queue is drained while live
flows, whatever the number of consumers; and messages are not handed out over and over when
handlers are slow. Exit 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zmq

from loadtests.daemon import DaemonProcess
from loadtests.hands import GROUP, TOPIC, Hand, body, now_us, start, start_consumers
from loadtests.latency import Latency, latency
from loadtests.wire import Peer, block, deliveries

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RATIO_MAX = 1.5
DELIVERIES_MAX = 1.2
LIVE_RATE, HANDLING_S, CONSUMERS = 2_000, 0.0008, 4
WARM_UP_US = 3_000_000
BLOCK = 500
FAILS_PER_SETTLE = 500
DRAIN_LIVE_RATE, DRAIN_DUE_S = 100, 2.0


@contextmanager
def broker(backoff: str = "1ms") -> Iterator[tuple[Path, DaemonProcess, Peer]]:
    """A daemon over a new store, and a connection to it. What fails is due again after `backoff`,
    and what fails again not any more in our time."""
    settings = {"groups.backoff": f"[{backoff}, 10m]"}
    with tempfile.TemporaryDirectory(prefix="layby-live-") as folder, zmq.Context() as context:
        daemon = DaemonProcess(Path(folder), settings)
        with daemon:
            peer = Peer(context, daemon.url)
            try:
                yield Path(folder), daemon, peer
            finally:
                peer.close()


def push_many(peer: Peer, messages: int, kind: bytes = b"live") -> None:
    for done in range(0, messages, BLOCK):
        bodies = [body(kind, now_us()) for _ in range(min(BLOCK, messages - done))]
        peer.ask("push", block(bodies), topic=TOPIC)


def fill_defer_queue(peer: Peer, messages: int) -> None:
    """So many messages that failed once and are due again."""
    push_many(peer, messages)
    failed = 0
    while failed < messages:
        answer = peer.ask(
            "poll", group=GROUP, topics=[TOPIC], messages=FAILS_PER_SETTLE, bytes=1 << 20, wait_ms=0
        )
        live = [got for got in deliveries(answer) if got.lane == "live"]
        entries = [entry(got.lease, got.position, "fail") for got in live]
        back = [lease for lease in answer["leases"] if lease["lane"] != "live"]
        entries += [{**entry(one["lease"], 1, "release"), "ranges": one["ranges"]} for one in back]
        if entries:
            peer.ask("settle", group=GROUP, settle=entries)
        failed += len(live)


def entry(lease: bytes, position: int, outcome: str) -> dict[str, Any]:
    return {"lease": lease, "ranges": [position, position], "outcome": outcome}


def counts(peer: Peer) -> dict[str, Any]:
    return peer.ask("group", group=GROUP).map


def stopped(hands: Sequence[Hand]) -> list[dict[str, Any]]:
    return [hand.results() for hand in hands]


# ---- live latency -----------------------------------------------------------------------------


def live_run(seconds: float, deferred: int) -> tuple[Latency, dict[str, int]]:
    """2,000 messages a second; with `deferred`, one in a hundred is poison and so many wait."""
    with broker() as (folder, daemon, peer):
        if deferred:
            fill_defer_queue(peer, deferred)
        hands = start_consumers(folder, daemon.url, CONSUMERS, HANDLING_S)
        rate, poison_every = LIVE_RATE, 100 if deferred else 0
        producer = start(folder, "produce", daemon.url, rate, seconds, poison_every)
        producer.wait(seconds + 60)
        sent = producer.results()
        wait_until_live_is_done(peer)
        found = stopped(hands)
    since_us = sent["start_us"] + WARM_UP_US
    waits = [wait for one in found for at, wait in one["waits"] if at >= since_us]
    totals = {key: sum(one[key] for one in found) for key in ("acked", "failed", "drained")}
    return latency(waits), totals | {"sent": sent["sent"]}


def wait_until_live_is_done(peer: Peer, within_s: float = 30.0) -> None:
    """Everything in the log was acked or set aside: the group's floor has reached the end."""
    end_us = now_us() + int(within_s * 1e6)
    while counts(peer)["floor"] < peer.ask("status")["store"]["end"] and now_us() < end_us:
        time.sleep(0.05)


def compare(seconds: float, pairs: int, deferred: int) -> bool:
    print(
        f"live latency, {LIVE_RATE} msg/s, {CONSUMERS} consumers, {HANDLING_S * 1e3} ms each, "
        f"{seconds:g} s a run; with poison: 1 %, and {deferred:,} deferred waiting"
    )
    p99: dict[str, list[float]] = {"clean": [], "poison": []}
    for _ in range(pairs):
        for name, waiting in (("clean", 0), ("poison", deferred)):
            speed, totals = live_run(seconds, waiting)
            p99[name].append(speed.p99)
            print(f"  {name:8}{speed}  {totals}", flush=True)
    ratio = statistics.median(p99["poison"]) / statistics.median(p99["clean"])
    return bar("p99 with poison / clean, medians", ratio, RATIO_MAX)


# ---- the defer queue drains -------------------------------------------------------------------


def drain_run(consumers: int, deferred: int, within_s: float) -> float:
    """Seconds from when so many messages are due until none is left, beside live traffic."""
    with broker(f"{DRAIN_DUE_S:g}s") as (folder, daemon, peer):
        hands = start_consumers(folder, daemon.url, consumers, HANDLING_S)
        producer = start(folder, "produce", daemon.url, DRAIN_LIVE_RATE, within_s + 60, 0)
        producer.wait_ready()
        push_many(peer, deferred, b"poison")
        wait_for(peer, deferred, within_s)
        failed_us = now_us()
        took_s = wait_for(peer, 0, DRAIN_DUE_S + within_s) - (failed_us / 1e6 + DRAIN_DUE_S)
        producer.kill()
        stopped(hands)
    return max(0.0, took_s)


def wait_for(peer: Peer, deferred: int, within_s: float) -> float:
    """The second in which so many messages are deferred; infinite when that does not come."""
    end_us = now_us() + int(within_s * 1e6)
    while now_us() < end_us:
        if counts(peer)["deferred"] == deferred:
            return now_us() / 1e6
        time.sleep(0.02)
    return math.inf


def drains(seconds: float, deferred: int) -> bool:
    print(f"{deferred} messages are due beside {DRAIN_LIVE_RATE} live ones a second")
    good = True
    for consumers in (1, 2, 3, 4):
        took_s = drain_run(consumers, deferred, seconds)
        good &= bar(f"seconds until {consumers} consumers have drained them", took_s, seconds)
    return good


# ---- hand back --------------------------------------------------------------------------------


def hand_back(waiting: int, handling_s: float) -> bool:
    print(f"{waiting:,} waiting, {CONSUMERS} consumers that take {handling_s * 1e3:g} ms each")
    with broker() as (folder, daemon, peer):
        push_many(peer, waiting)
        hands = start_consumers(folder, daemon.url, CONSUMERS, handling_s)
        end_us = now_us() + int(waiting * handling_s / CONSUMERS * 3e6) + 20_000_000
        while now_us() < end_us and (left := counts(peer)) and left["waiting"] + left["out"]:
            time.sleep(0.2)
        found = stopped(hands)
    acked, delivered = (sum(one[key] for one in found) for key in ("acked", "deliveries"))
    print(f"  {acked} settled, {delivered} deliveries")
    if acked != waiting:
        print(f"  MISSED  {waiting - acked} were not settled in time")
        return False
    return bar("deliveries / settles", delivered / acked, DELIVERIES_MAX)


def bar(name: str, value: float, limit: float) -> bool:
    print(f"  {'passed' if value <= limit else 'MISSED'}  {name}: {value:.2f}, at most {limit:g}")
    return value <= limit


def main() -> int:
    parser = argparse.ArgumentParser(prog="loadtests.live_first", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="of one latency run")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--deferred", type=int, default=100_000)
    parser.add_argument("--only", choices=("live", "drain", "hand-back"))
    options = parser.parse_args()
    parts = {
        "live": lambda: compare(options.seconds, options.pairs, options.deferred),
        "drain": lambda: drains(options.seconds, 100),
        "hand-back": lambda: hand_back(2_000, 0.05),
    }
    wanted = [options.only] if options.only else list(parts)
    missed = [name for name in wanted if not parts[name]()]
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
