"""Ten thousand hostile connections to a real daemon, and what became of it.

Owns the account of a run: the daemon's memory and descriptors, and what a well-behaved neighbour
got done meanwhile. Must never judge how fast it is, except where told.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from loadtests.daemon import DaemonProcess
from tests.fuzz.crowd import CrowdProcess
from tests.integration.neighbour import Neighbour

GROWN_BYTES = 48 << 20
ROUNDS = 25
LOOKS = 30
SLICES = 20
CALM_ROUNDS = 300
WORSE = 2.0


def descriptors(daemon: DaemonProcess) -> int:
    return len(list(Path(f"/proc/{daemon.pid}/fd").iterdir()))


def run(seed: int, count: int, judge_times: bool = False) -> dict[str, Any]:
    """`count` bad connections; the account."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="layby-zmtp-") as folder:
        daemon = DaemonProcess(Path(folder) / "daemon", {"limits.sessions": 50})
        with daemon:
            found = _against(daemon, seed, count)
        if "Traceback" in daemon.log():
            found["failures"].append("the daemon's log has a traceback")
    if judge_times and found["p99_ms"] > WORSE * found["calm_p99_ms"]:
        found["failures"].append("the neighbour's p99 is more than twice that of calm times")
    seconds = round(time.monotonic() - began, 1)
    return {"method": "zmtp", "seed": seed, "count": count, "seconds": seconds} | found


def _against(daemon: DaemonProcess, seed: int, count: int) -> dict[str, Any]:
    neighbour = Neighbour(daemon.url)
    neighbour.start()
    neighbour.more_rounds(CALM_ROUNDS, 60)
    calm = neighbour.p99_ms()
    at_rest = descriptors(daemon)
    failures, memory = [], []
    with CrowdProcess(int(daemon.url.rpartition(":")[2]), seed) as crowd:
        for part in range(SLICES):
            crowd.grow(count * (part + 1) // SLICES - count * part // SLICES)
            neighbour.more_rounds(ROUNDS, 60)
            memory.append(daemon.memory_bytes())
            sys.stderr.write(f"zmtp: {sum(crowd.made.values()):,} of {count:,} connections\n")
        busy = neighbour.p99_ms()
        crowd.leave()
        left = _left_open(daemon, neighbour, at_rest)
    neighbour.finish()
    if left > 0:
        failures.append(f"{left} descriptors more than before are open")
    grown = max(memory[SLICES // 10 :]) - memory[SLICES // 10]
    if grown > GROWN_BYTES:
        failures.append(f"the daemon grew by {grown >> 20} MiB")
    facts = {"grown_bytes": grown, "rounds": neighbour.rounds, "calm_p99_ms": calm, "p99_ms": busy}
    return {**facts, "kinds": dict(crowd.made), "failures": failures}


def _left_open(daemon: DaemonProcess, neighbour: Neighbour, at_rest: int) -> int:
    """Once the daemon has seen who has gone, which it surely has after many rounds."""
    for _ in range(LOOKS):
        if (left := descriptors(daemon) - at_rest) <= 0:
            break
        neighbour.more_rounds(10, 60)
    return left
