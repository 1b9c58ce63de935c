"""One seed: record, replay, record again from what a crash left, replay that. Prints one line.

Owns the two recordings of a seed and where they are kept when an image of them is wrong. Started
with the shim by the command; its daemons and its images are forks of it.
"""

from __future__ import annotations

import copy
import gc
import json
import logging
import os
import pickle
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.crash import broker, coverage
from tests.crash.broker import Ended
from tests.crash.knowledge import Knowledge
from tests.crash.recorder import record, unseen
from tests.crash.replay import left_by_a_crash, replay

if TYPE_CHECKING:
    from tests.crash.recorder import Recording

SHARED_MEMORY = Path("/dev/shm")
TOLD = 20
"""Failures that are told in full."""


def memory_place() -> str | None:
    """A file system in memory, where there is one: what is flushed here is only modelled."""
    return str(SHARED_MEMORY) if os.access(SHARED_MEMORY, os.W_OK) else None


def run(seed: int, count: int) -> dict[str, Any]:
    """Both recordings of a seed, `count` images in all."""
    began = time.monotonic()
    settle_in()
    home = Path(tempfile.mkdtemp(prefix="layby-crash-", dir=memory_place()))
    covered: Counter[str] = Counter()
    failures: list[dict[str, Any]] = []
    half = count // 2
    try:
        made = record(home, f"s{seed}a", Knowledge())
        for tag, share in (("a", half), ("b", count - half)):
            covered += coverage.of(made.records)
            failures += _failures(made, home, f"s{seed}{tag}", share)
            if tag == "a":
                known = left_by_a_crash(made, f"s{seed}", home / "left")
                made = record(home, f"s{seed}b", known, home / "left")
    except Ended as error:
        failures.append({"problems": [f"{error} when started on what a crash left"]})
    finally:
        shutil.rmtree(home)
    return {
        "seed": seed,
        "count": count,
        "failures": failures[:TOLD],
        "failed": len(failures),
        "covered": covered,
        "seconds": round(time.monotonic() - began, 1),
    }


def again(path: Path, count: int) -> dict[str, Any]:
    """The images of a recording that was kept."""
    settle_in()
    made = pickle.loads(path.read_bytes())
    with tempfile.TemporaryDirectory(prefix="layby-crash-", dir=memory_place()) as home:
        failures = _failures(made, Path(home), path.stem, count)
    return {"count": count, "failures": failures[:TOLD], "failed": len(failures), "covered": {}}


def settle_in() -> None:
    """What is here for good is not looked at by each child's collector again."""
    broker.make_tiny()
    logging.disable(logging.CRITICAL)
    gc.collect()
    gc.freeze()


def _failures(made: Recording, home: Path, tag: str, count: int) -> list[dict[str, Any]]:
    failures: list[dict[str, Any]] = [
        {"recording": tag, **one._asdict()}
        for one in replay(copy.deepcopy(made), home / "image", tag, count)
        if one.problems
    ]
    if made.whole:
        found = [f"{name} is not as recorded" for name in unseen(copy.deepcopy(made))]
        failures += [{"recording": tag, "problems": found}] if found else []
    if failures:
        path = Path(sys.prefix) / "cache" / f"{tag}.recording"
        path.write_bytes(pickle.dumps(made._replace(whole=False)))
        failures[0]["again"] = f"python -m tests.crash --again {path} --count {count}"
    return failures


if __name__ == "__main__":
    what, number = sys.argv[1:]
    told = run(int(what), int(number)) if what.isdecimal() else again(Path(what), int(number))
    sys.stdout.write(json.dumps(told) + "\n")
