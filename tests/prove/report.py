"""The generated parts of PROOF.md: counts per method, and which check caught which planted bug.

Owns the tables and the facts they are made of (`last.json`, kept with the tree, so that a test can
tell when one of the two was changed alone). Must never know how anything was run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.mutants import patch, stages
from tests.mutants.results import Result, Results
from tests.mutants.runner import digest
from tests.prove import account
from tests.prove.methods import METHODS
from tests.prove.slices import Slices

LAST = Path(__file__).with_name("last.json")
PROOF = Path(__file__).parents[1] / "PROOF.md"

SYSTEM = frozenset(stage.name for stage in stages.STAGES if stage.system)

Facts = dict[str, Any]


def write(kept: Slices, hunts: Path) -> None:
    facts = {"methods": account.of_all(METHODS, kept), "mutants": of_mutants(Results(hunts))}
    account.write(LAST, with_last(facts, read()))
    PROOF.write_text(rendered(PROOF.read_text(), read()))


def read() -> Facts:
    facts: Facts = json.loads(LAST.read_text())
    return facts


# ---- facts


def with_last(facts: Facts, last: Facts) -> Facts:
    """What was not run here stays as it was told: slices and hunts are kept in one checkout."""
    methods = {
        name: one
        if one["done"]
        else last["methods"].get(name, one) | {"unit": one["unit"], "goal": one["goal"]}
        for name, one in facts["methods"].items()
    }
    return {
        "methods": methods,
        "mutants": {
            name: _with_last(one, last["mutants"].get(name, {}))
            for name, one in facts["mutants"].items()
        },
    }


def _with_last(one: Facts, last: Facts) -> Facts:
    if last.get("patch") != one["patch"]:
        return one
    return {name: value or last[name] for name, value in one.items()}


def of_mutants(results: Results) -> Facts:
    latest = results.latest()
    return {name: _of_one(name, latest.get(name, [])) for name in patch.known()}


def _of_one(name: str, runs: Sequence[Result]) -> Facts:
    """What the commit's checks say of it, and what those say that run whole brokers."""
    now = [one for one in runs if one.patch == digest(name)]
    return {
        "patch": digest(name),
        "commit_run": _brief(one for one in now if "unit" in one.stages),
        "whole_brokers": _brief(one for one in now if SYSTEM.issuperset(one.stages)),
    }


def _brief(runs: Iterable[Result]) -> Facts | None:
    """The last run in which it was killed, else the last one."""
    found = sorted(runs, key=lambda one: bool(one.killed_by))
    if not found:
        return None
    one = found[-1]
    return {
        "stages": one.stages,
        "stage": one.stage,
        "killed_by": one.killed_by,
        "seconds": one.seconds,
        "commit": one.commit,
        "date": one.date,
    }


# ---- tables


def rendered(text: str, facts: Facts) -> str:
    """The document with its generated parts as the facts have them. Raises ValueError."""
    for name, table in (("counts", _counts(facts)), ("mutants", _mutants(facts))):
        part = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        text, times = part.subn(lambda found, table=table: found[1] + table + found[2], text)
        if times != 1:
            raise ValueError(f"PROOF.md has {times} places for {name}, not one")
    return text


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(str(cell) for cell in line) + " |\n" for line in lines)


def _counts(facts: Facts) -> str:
    head = ("method", "done", "goal", "failures", "seeds", "hours", "commits", "when")
    return _table(head, (_count(name, one) for name, one in facts["methods"].items()))


def _count(name: str, one: Facts) -> Sequence[object]:
    seeds = f"{one['first_seed']} to {one['next_seed'] - 1}" if one["done"] else "-"
    when = f"{one['first']} to {one['last']}" if one["done"] else "not yet"
    return (
        name,
        f"{one['done']:,} {one['unit']}{_more(one)}",
        f"{one['goal']:,}",
        len(one["failures"]),
        seeds,
        f"{one['seconds'] / 3600:.1f}",
        " ".join(one["commits"]) or "-",
        when,
    )


def _more(one: Facts) -> str:
    """What else was counted or timed that a reader wants to know."""
    events = [f"{one['sums']['events']:,} events"] if "events" in one["sums"] else []
    times = [f"{name} {value:g}" for name, value in one.get("medians", {}).items()]
    found = events + ([f"medians: {', '.join(times)}"] if times else [])
    return f" ({'; '.join(found)})" if found else ""


def _mutants(facts: Facts) -> str:
    head = (
        "planted bug",
        "the promise it breaks",
        "caught by",
        "after",
        "by whole brokers",
        "after",
    )
    return _table(head, (_mutant(name, one) for name, one in facts["mutants"].items()))


def _mutant(name: str, one: Facts) -> Sequence[object]:
    return (
        f"`{name}`",
        patch.load(name).promise,
        *_killer(one["commit_run"]),
        *_killer(one["whole_brokers"]),
    )


def _killer(run: Facts | None) -> tuple[str, str]:
    if run is None:
        return "not run", "-"
    if not run["killed_by"]:
        return f"**lives** through {' '.join(run['stages'])}", f"{run['seconds']:.0f} s"
    path, _, test = run["killed_by"].partition("::")
    return f"{path.removeprefix('tests/').removesuffix('.py')} `{test}`", f"{run['seconds']:.0f} s"
