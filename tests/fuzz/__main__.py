"""python -m tests.fuzz wire|client --count N --seed S: as much of it as told, and an account.

Progress goes to stderr; the last line of stdout is the account, in JSON. It exits 1 when a promise
was broken. A failure names its seed: `--seed S --count 1` plays that one again, to the byte.
"""

from __future__ import annotations

import argparse
import math
import sys

from tests.fuzz import answers, wire
from tests.fuzz.runs import Account, run

METHODS = {"wire": wire, "client": answers}
COUNT = 1_000_000


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("method", choices=sorted(METHODS))
    parser.add_argument("--count", type=int, help="mutated messages")
    parser.add_argument("--seed", type=int, default=1, help="the first; worlds go up from it")
    parser.add_argument("--seconds", type=float, help="begin nothing more after so long")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    account = _vectors(args)
    sys.stdout.write(account.line() + "\n")
    return 1 if account.failures else 0


def _vectors(args: argparse.Namespace) -> Account:
    method = METHODS[args.method]
    worlds = math.ceil((args.count or COUNT) / method.VECTORS)
    seeds = range(args.seed, args.seed + worlds)
    return run(args.method, method.played, seeds, args.workers, args.seconds)


if __name__ == "__main__":
    sys.exit(main())
