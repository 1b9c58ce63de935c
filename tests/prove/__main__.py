"""python -m tests.prove [METHOD...]: the long forms, for as long as wanted; goes on where it
stopped.

`--count` is how much more of each method, else up to its goal; `--minutes` is when no new slice
begins. `--report` writes what is known into tests/PROOF.md and the account beside it. Progress on
stderr, the account on stdout as one JSON line, exit 1 when a promise was ever broken.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from tests.mutants import tree
from tests.prove import account, methods, report
from tests.prove.runner import Bounds, Prover
from tests.prove.slices import Slices

STATE = tree.TOP / ".prove"


def say(text: str) -> None:
    sys.stderr.write(time.strftime("%H:%M:%S ") + text + "\n")
    sys.stderr.flush()


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.prove", description=__doc__)
    known = [method.name for method in methods.METHODS]
    parser.add_argument("methods", nargs="*", metavar="METHOD", help=", ".join(known))
    parser.add_argument("--count", type=int)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--report", action="store_true")
    args = parser.parse_args()
    unknown = sorted(set(args.methods) - set(known))
    if unknown:
        parser.error(f"no such method: {', '.join(unknown)}; there are {', '.join(known)}")
    return args


def main() -> int:
    args = parsed()
    kept = Slices(STATE)
    if args.report:
        report.write(kept, Path(STATE / "mutants.jsonl"))
        return 0
    until = None if args.minutes is None else time.monotonic() + args.minutes * 60
    prover = Prover(methods.named(args.methods), kept, tree.TOP, tree.commit(), say)
    try:
        prover.run(Bounds(args.count, until))
    except KeyboardInterrupt:
        say("stopped; the same command goes on from here")
    found = account.of_all(methods.METHODS, kept)
    account.write(STATE / "account.json", found)
    sys.stdout.write(json.dumps(found) + "\n")
    return 1 if account.failures(found) else 0


if __name__ == "__main__":
    sys.exit(main())
