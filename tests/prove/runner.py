"""Runs slices of methods until goals, counts or minutes are reached.

Owns the turn: the method that is furthest from its goal comes next, so that an hour is an hour of
everything. Must never know what a method looks for.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from tests.prove import slices
from tests.prove.methods import Method
from tests.prove.slices import Slice, Slices

Say = Callable[[str], None]


class Bounds(NamedTuple):
    """How much of each method more than there is; and until when by the monotonic clock."""

    count: int | None = None
    until: float | None = None


class Prover:
    def __init__(
        self, methods: Sequence[Method], kept: Slices, top: Path, commit: str, say: Say
    ) -> None:
        self._methods = methods
        self._kept = kept
        self._top = top
        self._commit = commit
        self._say = say

    def run(self, bounds: Bounds) -> list[Slice]:
        """The slices of this run."""
        before = {method.name: self._done(method) for method in self._methods}
        ran: list[Slice] = []
        while bounds.until is None or time.monotonic() < bounds.until:
            turn = self._turn(before, bounds.count)
            if turn is None:
                break
            one = self._slice(*turn)
            self._kept.add(one)
            ran.append(one)
        return ran

    def _done(self, method: Method) -> int:
        return slices.done(self._kept.of(method.name))

    def _turn(self, before: dict[str, int], count: int | None) -> tuple[Method, int] | None:
        """Who is next, and for how much; None when all is done."""
        found = []
        for method in self._methods:
            goal = method.goal if count is None else before[method.name] + count
            is_done = self._done(method)
            if is_done < goal:
                found.append((is_done / goal, method, min(method.slice, goal - is_done)))
        if not found:
            return None
        _, method, size = min(found, key=lambda one: one[0])
        return method, size

    def _slice(self, method: Method, count: int) -> Slice:
        seed = slices.next_seed(self._kept.of(method.name))
        self._say(f"{method.name}: {count} {method.unit} from seed {seed}")
        began = time.monotonic()
        child = subprocess.run(
            method.command(seed, count), cwd=self._top, stdout=subprocess.PIPE, text=True
        )
        seconds = round(time.monotonic() - began, 1)
        told = _last_line(child.stdout)
        failures = _failures(told, child.returncode)
        counted = int(told.get("count", count))
        self._say(f"{method.name}: {counted} in {seconds} s, {len(failures)} failures")
        return Slice(
            method=method.name,
            seed=seed,
            count=counted,
            next_seed=int(told.get("next_seed", seed + count)),
            failures=failures,
            seconds=seconds,
            commit=self._commit,
            date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
            told=told,
        )


def _last_line(said: str) -> dict[str, Any]:
    lines = said.strip().splitlines()
    try:
        told = json.loads(lines[-1]) if lines else {}
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _failures(told: dict[str, Any], status: int) -> tuple[Any, ...]:
    """A command that ends badly has failed, whatever it says."""
    found = tuple(told.get("failures", ()))
    if not told:
        return (f"ended with {status} and gave no account",)
    if status and not found:
        return (f"ended with {status}",)
    return found
