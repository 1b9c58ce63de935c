"""`python -m tests.kills [--count LOOPS] [--seed S] [--black-box SECONDS] [--keep DIR]`.

Kill loops over real daemons, 40 to a world, or a black-box run behind a proxy. Ends with an account
as one JSON object; exit 1 when a promise is broken. The history of a broken world is kept.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.kills.runs import LOOPS, Run, black_box, kill_loops

if TYPE_CHECKING:
    from collections.abc import Iterator

COUNTS = ("lines", "pushed", "unknown", "recovered", "refused", "deliveries", "settled", "dead")


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def worlds(options: argparse.Namespace) -> Iterator[tuple[int, Run]]:
    """One after the other, each with a seed of its own."""
    seed, left = options.seed, options.count
    while left > 0:
        loops = min(LOOPS, left)
        with tempfile.TemporaryDirectory(prefix="layby-kills-") as folder:
            if options.black_box:
                yield seed, black_box(Path(folder), seed, options.black_box, say)
            else:
                yield seed, kill_loops(Path(folder), seed, loops, say)
        seed, left = seed + 1, 0 if options.black_box else left - loops


def keep(run: Run, folder: Path, seed: int) -> None:
    path = folder / f"history-{seed}.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in run.lines))
    say(f"its history: {path}; judge it with: python -m tests.audit {path}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("--count", type=int, default=LOOPS, help="kill loops")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--black-box", type=float, metavar="SECONDS", help="behind a proxy")
    parser.add_argument("--keep", type=Path, default=Path.cwd(), help="for broken histories")
    options = parser.parse_args()
    logging.getLogger("layby").setLevel(logging.CRITICAL)
    began = time.monotonic()
    totals: Counter[str] = Counter()
    failures: list[str] = []
    for seed, run in worlds(options):
        totals.update(run.faults)
        totals.update({name: getattr(run.account, name) for name in COUNTS})
        failures += [f"seed {seed}: {fault}" for fault in run.failures]
        if run.failures:
            keep(run, options.keep, seed)
        say(f"seed {seed}: {run.account._replace(breaches=run.failures)}")
    told: dict[str, Any] = {"method": "black-box" if options.black_box else "kills"}
    told |= {"seed": options.seed, "count": options.count, "failures": failures}
    told |= {"seconds": round(time.monotonic() - began, 1)} | dict(totals)
    sys.stdout.write(json.dumps(told) + "\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
