"""`python -m tests.damage [--count N] [--seed S]`: so many harms to a store with live data.

Two workers; each seed is a harm of its own. Ends with an account as one JSON object; exit 1 when a
promise is broken.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from typing import Any

COUNT = 300
WORKERS = 2


def run(seed: int, count: int) -> dict[str, Any]:
    began = time.monotonic()
    share = -(-count // WORKERS)
    parts = [(at, min(share, seed + count - at)) for at in range(seed, seed + count, share)]
    workers = [_started(*part) for part in parts]
    counts: Counter[str] = Counter()
    failures: list[str] = []
    for (at, _), worker in zip(parts, workers, strict=True):
        out, _ = worker.communicate()
        if worker.returncode:
            failures.append(f"the worker from seed {at} ended with {worker.returncode}")
            continue
        told = json.loads(out)
        failures += told["failures"]
        counts.update(told["counts"])
    account = {"method": "damage", "seed": seed, "count": count, "failures": failures}
    return account | {"seconds": round(time.monotonic() - began, 1), **counts}


def _started(seed: int, count: int) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "tests.damage.worker", str(seed), str(count)]
    return subprocess.Popen(words, stdout=subprocess.PIPE)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.damage", description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    account = run(options.seed, options.count)
    sys.stdout.write(json.dumps(account) + "\n")
    return 1 if account["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
