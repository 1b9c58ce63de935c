"""python -m tests.fuzz wire|client|zmtp --count N --seed S: as much of it as told, and an account.

Progress goes to stderr; the last line of stdout is the account, in JSON. It exits 1 when a promise
was broken. A failure of the first two names its seed: `--seed S --count 1` plays that one again,
to the byte. With `--judge-times`, for a machine that does nothing else, zmtp judges what a
neighbour feels of it.
"""

from __future__ import annotations

import argparse
import json
import math
import sys

from tests.fuzz import answers, wire, zmtp
from tests.fuzz.runs import Account, run

METHODS = {"wire": wire, "client": answers}
COUNT = 1_000_000
CONNECTIONS = 10_000


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("method", choices=[*METHODS, "zmtp"])
    parser.add_argument("--count", type=int, help="mutated messages, or connections")
    parser.add_argument("--seed", type=int, default=1, help="the first; worlds go up from it")
    parser.add_argument("--seconds", type=float, help="begin nothing more after so long")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--judge-times", action="store_true")
    args = parser.parse_args()
    if args.method == "zmtp":
        found = zmtp.run(args.seed, args.count or CONNECTIONS, args.judge_times)
        sys.stdout.write(json.dumps(found) + "\n")
        return 1 if found["failures"] else 0
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
