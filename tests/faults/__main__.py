"""`python -m tests.faults [--count N] [--seed S]`: every nth call fails, once.

Without a count every series is run whole, from the first call on until a run ends without the
fault; with one, so many cases are drawn over all series.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from tests.crash.runner import Job, account, run
from tests.faults.cases import REACHED, SERIES, Case, drawn

PER_JOB = 20


def some(seed: int, count: int) -> dict[str, Any]:
    """The account of so many drawn cases."""
    began = time.monotonic()
    cases = drawn(count, seed)
    parts = [cases[at : at + PER_JOB] for at in range(0, len(cases), PER_JOB)]
    return account("faults", seed, run([_job(part) for part in parts]), began)


def every() -> dict[str, Any]:
    began = time.monotonic()
    jobs = [_job([Case(series, 1)], "whole") for series in SERIES]
    jobs = [
        job._replace(count=REACHED[job_of.call]) for job, job_of in zip(jobs, SERIES, strict=True)
    ]
    return account("faults", 0, run(jobs), began)


def _job(cases: list[Case], *more: str) -> Job:
    told = [(case.series.call, case.series.error, case.nth) for case in cases]
    return Job("tests.faults.worker", (json.dumps(told), *more), len(cases))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--count", type=int, help="so many drawn cases (all)")
    parser.add_argument("--seed", type=int, default=1, help="of the draw (1)")
    parser.add_argument("--whole", action="store_true", help="every series, whatever the count")
    told = parser.parse_args()
    found = every() if told.whole or not told.count else some(told.seed, told.count)
    sys.stdout.write(json.dumps(found) + "\n")
    return 1 if found["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
