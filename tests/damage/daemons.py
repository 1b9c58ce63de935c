"""`python -m tests.damage.daemons [--count N] [--seed S]`: so many harms under a real daemon each.

Each seed is a harm of its own. Ends with an account as one JSON object; exit 1 when a promise is
broken. Owns the run and its account, and must never know what is promised.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.damage.harm import drawn
from tests.damage.serving import Served
from tests.formats.test_formats import expected, unpacked

COUNT = 14
SEED = 15


def run(seed: int, count: int, folder: Path) -> dict[str, Any]:
    began = time.monotonic()
    kept, known = unpacked(1, folder / "kept"), expected(1)
    (kept / "ballast").touch()
    counts = Counter(refused=0, ended=0, served=0, refused_blocks=0)
    failures: list[str] = []
    for one in range(seed, seed + count):
        harm = drawn(kept, one)
        home = folder / f"daemon{one}"
        served = Served(kept, known, harm, home).judge()
        counts[served.how] += 1
        counts["refused_blocks"] += bool(served.damaged)
        failures += [f"seed {one}: {harm}: {text}" for text in served.faults]
        shutil.rmtree(home)
        sys.stderr.write(f"seed {one}: {harm}: {served.how}\n")
    account = {"method": "damage.daemons", "seed": seed, "count": count, "failures": failures}
    return account | {"seconds": round(time.monotonic() - began, 1), **counts}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.damage.daemons", description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="layby-damage-") as folder:
        account = run(options.seed, options.count, Path(folder))
    sys.stdout.write(json.dumps(account) + "\n")
    return 1 if account["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
