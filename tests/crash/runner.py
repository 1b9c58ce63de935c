"""Seeds over processes, and the account: what was tried, what failed, how long it took.

Owns the split of work and its progress. Must never know what a worker does with a seed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.crash import shim

if TYPE_CHECKING:
    from collections.abc import Sequence

WORKERS = 2


class Job(NamedTuple):
    """One run of a worker's module, of so many cases."""

    module: str
    arguments: tuple[str, ...]
    count: int


def run(jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """What each job's worker has told, in their order; progress goes to stderr."""
    began, done = time.monotonic(), 0
    total = sum(job.count for job in jobs)
    environment = os.environ | shim.preloaded()
    with ThreadPoolExecutor(WORKERS) as pool:
        running = {pool.submit(_told, job, environment): job for job in jobs}
        for one in as_completed(running):
            one.result()
            done += running[one].count
            taken_s = time.monotonic() - began
            sys.stderr.write(f"{done} of {total} in {taken_s:.0f} s\n")
        return [one.result() for one in running]


def _told(job: Job, environment: dict[str, str]) -> dict[str, Any]:
    """A worker's last line. A worker that breaks is a failure too."""
    command = [sys.executable, "-m", job.module, *job.arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        text = f"the worker ended with {done.returncode}: {done.stderr[-3_000:]}"
        problem = {"job": list(job.arguments), "problems": [text]}
        return {"count": 0, "failures": [problem], "failed": 1, "covered": {}}
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def account(method: str, seed: int, told: Sequence[dict[str, Any]], began: float) -> dict[str, Any]:
    covered: Counter[str] = Counter()
    for one in told:
        covered.update(one["covered"])
    return {
        "method": method,
        "seed": seed,
        "count": sum(one["count"] for one in told),
        "failures": [failure for one in told for failure in one["failures"]],
        "failed": sum(one["failed"] for one in told),
        "covered": dict(covered),
        "seconds": round(time.monotonic() - began, 1),
    }
