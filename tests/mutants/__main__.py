"""python -m tests.mutants [NAME...]: which check catches which planted bug, and how fast.

All of them when none is named; `--seed` and `--count` choose a slice. Goes on where it stopped.
Progress on stderr, one JSON line on stdout, exit 1 when a bug lives through everything.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutants import patch, stages, tree
from tests.mutants.results import Result, Results
from tests.mutants.runner import Runner

STATE = tree.TOP / ".prove" / "mutants.jsonl"
LOGS = tree.TOP / ".prove" / "mutants"


def say(text: str) -> None:
    sys.stderr.write(time.strftime("%H:%M:%S ") + text + "\n")
    sys.stderr.flush()


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    known = patch.known()
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(known))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1, help="the first of all, from 1")
    parser.add_argument("--count", type=int, default=len(known), help="how many from there")
    parser.add_argument(
        "--stage",
        action="append",
        default=[],
        choices=[one.name for one in stages.STAGES],
        help="only this one; may be given again",
    )
    parser.add_argument("--system", action="store_true", help="only those of whole brokers")
    args = parser.parse_args()
    if args.system:
        args.stage = [one.name for one in stages.STAGES if one.system]
    unknown = sorted(set(args.names) - set(known))
    if unknown:
        parser.error(f"no such bug: {', '.join(unknown)}")
    first = args.seed - 1
    args.names = args.names or known[first : first + args.count]
    return args


def hunt(args: argparse.Namespace, work: Path) -> list[Result]:
    results = Results(STATE)
    runner = Runner(tree.TOP, work, LOGS, say)
    run = runner.stages(args.stage)
    say(f"{len(args.names)} planted bugs, stages: {' '.join(one.name for one in run)}")

    def one(name: str) -> Result:
        known = results.get(runner.key(name, run))
        if known is None:
            known = runner.run(name, run)
            results.add(known)
        killer = f"killed by {known.killed_by}" if known.killed_by else "SURVIVES"
        say(f"{name}: {killer} after {known.seconds} s")
        return known

    pool = ThreadPoolExecutor(args.jobs)
    try:
        return list(pool.map(one, args.names))
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        stages.end_all()
        raise
    finally:
        pool.shutdown()


def account(found: Sequence[Result], seed: int, seconds: float) -> dict[str, object]:
    return {
        "method": "mutants",
        "seed": seed,
        "count": len(found),
        "failures": [one.mutant for one in found if not one.killed_by],
        "seconds": round(seconds, 1),
        "killed": sum(bool(one.killed_by) for one in found),
    }


def _stop(number: int, frame: object) -> None:
    sys.exit(128 + number)


def main() -> int:
    args = parsed()
    began = time.monotonic()
    signal.signal(signal.SIGTERM, _stop)
    # Whoever starts this in the background may have it ignored, and the tests need it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="layby-") as work:
        found = hunt(args, Path(work))
    told = account(found, args.seed, time.monotonic() - began)
    sys.stdout.write(json.dumps(told) + "\n")
    return 1 if told["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
