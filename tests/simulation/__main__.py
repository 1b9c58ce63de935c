"""python -m tests.simulation --seed N --steps M: one run, or `--seeds K` of them from N on.

Prints what was drawn, and on failure the last things that happened.
"""

from __future__ import annotations

import argparse
import sys

from tests.simulation.audit_log import Violation
from tests.simulation.simulation import run
from tests.simulation.workload import draw


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1, help="how many, from --seed on")
    parser.add_argument("--steps", type=int, default=20_000, help="before the faults stop")
    args = parser.parse_args()
    failed = 0
    for seed in range(args.seed, args.seed + args.seeds):
        if args.seeds == 1:
            say(draw(seed).text())
        try:
            say(f"{seed} {run(seed, args.steps)}")
        except Violation as violation:
            failed += 1
            text = str(violation)
            say(text if args.seeds == 1 else text.splitlines()[0])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
