"""python -m tests.simulation --seed N: one run and all that was drawn for it; with `--seeds K`,
K of them from N on, on `--jobs` processors, or until `--events` have happened.

A failing run is made small before it is reported. The last line on standard output is the account.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import nullcontext

from tests.simulation.audit_log import Violation
from tests.simulation.campaign import campaign, say
from tests.simulation.cuts import cut
from tests.simulation.mutants import MUTANTS, planted
from tests.simulation.shrink import TRIES, Case, Shrinker
from tests.simulation.simulation import run
from tests.simulation.workload import draw

STEPS = 20_000


def main() -> int:
    args = _parser().parse_args()
    gone = tuple(name for name in args.without.split(",") if name)
    with planted(args.plant) if args.plant else nullcontext():
        if args.seeds == 1:
            return _one(Case(args.seed, args.steps, gone))
        cases = (Case(args.seed + at, args.steps, gone) for at in range(args.seeds))
        account = campaign(cases, args.jobs, args.events)
    tell(json.dumps(account.fields(args.seed)))
    return 1 if account.failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", "--count", type=int, default=1, help="how many, from --seed on")
    parser.add_argument("--steps", type=int, default=STEPS, help="before the faults stop")
    parser.add_argument("--events", type=int, help="stop when so many have happened")
    parser.add_argument("--jobs", type=int, default=1, help="processors to use")
    parser.add_argument("--without", default="", help="what to take away: names, with commas")
    parser.add_argument("--plant", choices=sorted(MUTANTS), help="a bug, to see it found")
    return parser


def _one(case: Case) -> int:
    """The same seed prints the same bytes, wherever and whenever it runs."""
    plan = cut(draw(case.seed), case.gone)
    tell(plan.text())
    try:
        summary = run(case.seed, case.steps, plan, is_hashed=True)
    except Violation:
        small, found = Shrinker(TRIES, say).shrink(case)
        tell(found)
        tell(f"keep in seeds.txt: {small.text}")
        tell(_line(case, found.step, failures=[{"case": small.text, "what": found.brief}]))
        return 1
    tell(_line(case, summary.steps, failures=[], **summary._asdict()))
    return 0


def _line(case: Case, events: int, **fields: object) -> str:
    return json.dumps(
        {"method": "simulation", "seed": case.seed, "count": 1, "events": events, **fields}
    )


def tell(text: object) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
