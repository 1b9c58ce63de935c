"""The account: of each method how much was done, what failed, which seeds, when, at which commits.

Owns the sums over slices and their file. Must never know how they are shown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from tests.mutants import tree
from tests.prove import slices
from tests.prove.methods import Method
from tests.prove.slices import Slice, Slices

MEASURES = ("_ms", "_us", "_bytes", "_s")
"""A sum of these means nothing."""

EXTRAS_IGNORED = frozenset({"method", "seed", "count", "failures", "seconds", "next_seed"})

_TEMPORARY = re.compile(r"/(?:[^/\s\"]+/)+layby-\w+-\w{8}/")


def of_all(methods: Sequence[Method], kept: Slices) -> dict[str, Any]:
    return {method.name: of_one(method, kept.of(method.name)) for method in methods}


def of_one(method: Method, ran: Sequence[Slice]) -> dict[str, Any]:
    return {
        "unit": method.unit,
        "goal": method.goal,
        "done": slices.done(ran),
        "failures": [failure for one in ran for failure in one.failures],
        "seconds": round(sum(one.seconds for one in ran)),
        "first_seed": ran[0].seed if ran else 0,
        "next_seed": slices.next_seed(ran),
        "commits": sorted({one.commit for one in ran}),
        "first": min((one.date for one in ran), default=""),
        "last": max((one.date for one in ran), default=""),
        "sums": _sums(one.told for one in ran),
        "medians": _medians(one.told for one in ran),
    }


def _sums(told: Iterable[dict[str, Any]]) -> dict[str, int]:
    """Of whatever else the commands have counted."""
    sums: dict[str, int] = {}
    for one in told:
        for name, value in one.items():
            if name not in EXTRAS_IGNORED and type(value) is int and not name.endswith(MEASURES):
                sums[name] = sums.get(name, 0) + value
    return sums


def _medians(told: Iterable[dict[str, Any]]) -> dict[str, float]:
    """Of what the commands have timed."""
    times: dict[str, list[float]] = {}
    for one in told:
        for name, value in one.items():
            if type(value) is float and name.endswith("_ms"):
                times.setdefault(name, []).append(value)
    return {name: round(median(values), 2) for name, values in times.items()}


def write(path: Path, account: dict[str, Any]) -> None:
    """What a failing run said names files by where the tree was, or where its temporary folder
    was; here they are named by their place in these."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(account, indent=1, sort_keys=True).replace(f"{tree.TOP}/", "")
    path.write_text(_TEMPORARY.sub("", text) + "\n")


def failures(account: dict[str, Any]) -> int:
    return sum(len(one["failures"]) for one in account.values())
