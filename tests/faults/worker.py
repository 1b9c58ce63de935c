"""Cases one after the other, or a whole series until a run ends without the fault. Prints a line.

Started with the shim by the command; its daemons are forks of it.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.crash.worker import TOLD, memory_place, settle_in
from tests.faults import trial
from tests.faults.cases import Case, Series, following

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

UNFIRED = 3
"""So many runs in a row without the fault end a series: threads do not take equal steps."""


def whole(series: Series) -> Iterator[Case]:
    case = Case(series, 1)
    for _ in count():
        yield case
        case = following(case)


def run(cases: Iterable[Case], endless: bool) -> dict[str, Any]:
    settle_in()
    home = Path(tempfile.mkdtemp(prefix="layby-faults-", dir=memory_place()))
    failures: list[dict[str, Any]] = []
    covered: Counter[str] = Counter()
    unfired = tried = 0
    try:
        for case in cases:
            began = time.monotonic()
            outcome = trial.run(home, case)
            tried += 1
            unfired = 0 if outcome.fired else unfired + 1
            covered.update(_words(case, outcome))
            if outcome.problems:
                failures.append({"case": str(case), "problems": outcome.problems})
            sys.stderr.write(f"{case} {outcome[:3]} {time.monotonic() - began:.1f} s\n")
            if endless and unfired == UNFIRED and case.nth > UNFIRED:
                break
    finally:
        shutil.rmtree(home)
    return {
        "count": tried,
        "failures": failures[:TOLD],
        "failed": len(failures),
        "covered": covered,
    }


def _words(case: Case, outcome: trial.Outcome) -> Iterator[str]:
    if not outcome.fired:
        yield "not reached"
        return
    yield str(case.series)
    yield "lived on" if outcome.ended is None else f"exit {outcome.ended}"


if __name__ == "__main__":
    told = [Case(Series(call, error), nth) for call, error, nth in json.loads(sys.argv[1])]
    endless = sys.argv[2:] == ["whole"]
    found = run(whole(told[0].series) if endless else told, endless)
    sys.stdout.write(json.dumps(found) + "\n")
