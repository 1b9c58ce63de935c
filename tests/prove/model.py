"""python -m tests.prove.model: the core as a state machine against the model, in its long form.

Each seed is a part of its own, of 25,000 steps. Progress on stderr, one JSON line on stdout, exit
1 when the model and the core disagree; then what leads there, made as short as can be, is told.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
import traceback

from tests.property.test_model import PARTS, STEPS, played

STEPS_OF_A_PART = 25_000


def failure_of(seed: int, steps: int) -> str:
    """Empty when all is well. The parts of the commit run come before the first seed."""
    try:
        played(PARTS + seed, math.ceil(steps / STEPS))
    except Exception as error:
        traceback.print_exception(error)
        return f"seed {seed}: {type(error).__name__}: {error}"
    return ""


def account(seed: int, count: int) -> dict[str, object]:
    began = time.monotonic()
    failures = []
    parts = math.ceil(count / STEPS_OF_A_PART)
    for part in range(parts):
        steps = min(STEPS_OF_A_PART, count - part * STEPS_OF_A_PART)
        if failure := failure_of(seed + part, steps):
            failures.append(failure)
        sys.stderr.write(f"model: part {part + 1} of {parts}, {len(failures)} failures\n")
    return {
        "method": "model",
        "seed": seed,
        "count": count,
        "next_seed": seed + parts,
        "failures": failures,
        "seconds": round(time.monotonic() - began, 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.prove.model", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=STEPS_OF_A_PART, help="steps")
    args = parser.parse_args()
    told = account(args.seed, args.count)
    sys.stdout.write(json.dumps(told) + "\n")
    return 1 if told["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
