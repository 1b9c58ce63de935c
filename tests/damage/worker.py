"""`python -m tests.damage.worker SEED COUNT`: harms one after the other, each to a fresh copy."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from tests.damage.harm import drawn
from tests.damage.judge import faults, is_live
from tests.damage.look import checked, started
from tests.formats.test_formats import unpacked


def run(seed: int, count: int, folder: Path) -> dict[str, Any]:
    kept = unpacked(1, folder / "kept")
    (kept / "ballast").touch()
    copy = folder / "copy"
    whole = started(Path(shutil.copytree(kept, copy)))
    counts: Counter[str] = Counter()
    failures: list[str] = []
    for one in range(seed, seed + count):
        harm = drawn(kept, one)
        _again(kept, copy)
        harm.do(copy)
        check = checked(copy)
        _again(kept, copy)
        harm.do(copy)
        start = started(copy)
        counts[harm.kind] += 1
        counts["live"] += is_live(whole, start)
        counts["named"] += check.how != "whole"
        counts[f"start {start.how}"] += 1
        counts[f"check {check.how}"] += 1
        failures += [f"seed {one}: {harm}: {text}" for text in faults(whole, check, start)]
        if (one - seed) % 20 == 19:
            sys.stderr.write(f"{one - seed + 1} of {count} from seed {seed}\n")
    return {"failures": failures, "counts": dict(counts), "parts": len(whole.parts)}


def _again(kept: Path, copy: Path) -> None:
    shutil.rmtree(copy)
    shutil.copytree(kept, copy)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="layby-damage-") as folder:
        told = run(int(sys.argv[1]), int(sys.argv[2]), Path(folder))
    sys.stdout.write(json.dumps(told) + "\n")
