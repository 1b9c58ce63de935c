"""`python -m tests.crash [--count N] [--seed S]`: crash images, as many as you like.

Each seed makes two recordings and 500 images; the account's `next_seed` is where to go on. An
image that is wrong names the command that plays its recording again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from tests.crash.runner import Job, account, run

PER_SEED = 500


def images(seed: int, count: int) -> dict[str, Any]:
    """The account of `count` images from this seed on."""
    began = time.monotonic()
    jobs = []
    for left in range(count, 0, -PER_SEED):
        share = min(PER_SEED, left)
        jobs.append(Job("tests.crash.worker", (str(seed + len(jobs)), str(share)), share))
    return account("crash", seed, run(jobs), began) | {"next_seed": seed + len(jobs)}


def again(path: str, count: int) -> dict[str, Any]:
    began = time.monotonic()
    return account("crash", 0, run([Job("tests.crash.worker", (path, str(count)), count)]), began)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--count", type=int, default=5_000, help="images (5000)")
    parser.add_argument("--seed", type=int, default=1, help="the first seed (1)")
    parser.add_argument("--again", metavar="FILE", help="a recording that was kept")
    told = parser.parse_args()
    found = again(told.again, told.count) if told.again else images(told.seed, told.count)
    sys.stdout.write(json.dumps(found) + "\n")
    return 1 if found["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
