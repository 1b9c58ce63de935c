"""Ten thousand hostile connections to a real daemon, and what became of it.

Owns the account of a run: the daemon's memory and descriptors, and what a well-behaved neighbour
got done meanwhile. Must never judge how fast it is, except where told.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loadtests.daemon import DaemonProcess
from tests.fuzz.aside import AsideProcess
from tests.fuzz.crowd import CrowdProcess
from tests.integration.neighbour import Neighbour

GROWN_BYTES = 48 << 20
ROUNDS = 25
LOOKS = 30
SLICES = 20
CALM_ROUNDS = 300
WORSE = 2.0
"""Than in calm times. Two processors that attackers, broker and neighbour share are not enough for
this, whoever is attacked: the other bound tells that from a broker that has become slow."""

WORSE_THAN_ASIDE = 1.5
"""Than while the same crowd is at another server on the same machine: what is the broker's
own part. Rounds of ten thousand differ by a quarter from one to the next."""


def descriptors(daemon: DaemonProcess) -> int:
    return len(list(Path(f"/proc/{daemon.pid}/fd").iterdir()))


def run(seed: int, count: int, judge_times: bool = False) -> dict[str, Any]:
    """`count` bad connections; the account."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="layby-zmtp-") as folder:
        daemon = DaemonProcess(Path(folder) / "daemon", {"limits.sessions": 50})
        with daemon:
            found = _against(daemon, seed, count, judge_times)
        if "Traceback" in daemon.log():
            found["failures"].append("the daemon's log has a traceback")
    if judge_times:
        found["failures"] += too_slow(found)
    seconds = round(time.monotonic() - began, 1)
    return {"method": "zmtp", "seed": seed, "count": count, "seconds": seconds} | found


def too_slow(found: dict[str, Any]) -> list[str]:
    failures = []
    if found["p99_ms"] > WORSE * found["calm_p99_ms"]:
        failures.append("the neighbour's p99 is more than twice that of calm times")
    if found["p99_ms"] > WORSE_THAN_ASIDE * found["aside_p99_ms"]:
        failures.append("the neighbour's p99 is much worse than with the same crowd elsewhere")
    return failures


def _against(daemon: DaemonProcess, seed: int, count: int, judge_times: bool) -> dict[str, Any]:
    neighbour = Neighbour(daemon.url)
    neighbour.start()
    neighbour.more_rounds(CALM_ROUNDS, 60)
    facts = {"calm_p99_ms": neighbour.p99_ms()}
    if judge_times:
        facts["aside_p99_ms"] = _aside(neighbour, seed, count)
    at_rest = descriptors(daemon)
    failures, memory = [], []
    with CrowdProcess(int(daemon.url.rpartition(":")[2]), seed) as crowd:
        for made in _parts(crowd, neighbour, count):
            memory.append(daemon.memory_bytes())
            sys.stderr.write(f"zmtp: {made:,} of {count:,} connections\n")
        facts["p99_ms"] = neighbour.p99_ms()
        crowd.leave()
        left = _left_open(daemon, neighbour, at_rest)
    neighbour.finish()
    if left > 0:
        failures.append(f"{left} descriptors more than before are open")
    grown = max(memory[SLICES // 10 :]) - memory[SLICES // 10]
    if grown > GROWN_BYTES:
        failures.append(f"the daemon grew by {grown >> 20} MiB")
    facts |= {"grown_bytes": grown, "rounds": neighbour.rounds}
    return {**facts, "kinds": dict(crowd.made), "failures": failures}


def _aside(neighbour: Neighbour, seed: int, count: int) -> float:
    """The neighbour's p99 while the same crowd is at a server that is not the daemon."""
    with AsideProcess() as aside, CrowdProcess(aside.port, seed) as crowd:
        for made in _parts(crowd, neighbour, count):
            sys.stderr.write(f"zmtp: {made:,} of {count:,} connections elsewhere\n")
        return neighbour.p99_ms()


def _parts(crowd: CrowdProcess, neighbour: Neighbour, count: int) -> Iterator[int]:
    """The crowd grows part by part, with the neighbour's rounds between; how many there were. What
    was timed before all of it was ready is not of it."""
    crowd.grow(0)
    neighbour.more_rounds(1, 60)
    neighbour.p99_ms()
    for part in range(SLICES):
        crowd.grow(count * (part + 1) // SLICES - count * part // SLICES)
        neighbour.more_rounds(ROUNDS, 60)
        yield sum(crowd.made.values())


def _left_open(daemon: DaemonProcess, neighbour: Neighbour, at_rest: int) -> int:
    """Once the daemon has seen who has gone, which it surely has after many rounds."""
    for _ in range(LOOKS):
        if (left := descriptors(daemon) - at_rest) <= 0:
            break
        neighbour.more_rounds(10, 60)
    return left
