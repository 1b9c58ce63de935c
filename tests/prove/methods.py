"""The methods of proof: what each counts, in slices of what size, up to which goal.

Owns the table. Must never know how a method works: each is a command that takes a seed and a count
and ends with one line of JSON, with exit 1 when a promise was broken.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NamedTuple

from tests.mutants import patch


class Method(NamedTuple):
    """`unit` is what is counted; `more` are words for the command besides seed and count."""

    name: str
    module: str
    unit: str
    slice: int
    goal: int
    more: tuple[str, ...] = ()

    def command(self, seed: int, count: int) -> list[str]:
        words = ["-m", self.module, "--seed", str(seed), "--count", str(count)]
        return [sys.executable, *words, *self.more]


METHODS = (
    # A world of 20,000 steps has about 60,000 events: a hundred million in all.
    Method("simulation", "tests.simulation", "worlds of 20,000 steps", 50, 1_750, ("--jobs", "2")),
    Method("model", "tests.prove.model", "steps of the model", 100_000, 10_000_000),
    Method("crash", "tests.crash", "crash images", 5_000, 500_000),
    Method("faults", "tests.faults", "failed calls in whole series", 900, 900, ("--whole",)),
    Method("damage", "tests.damage", "harms", 300, 50_000),
    Method("kills", "tests.kills", "kill loops", 40, 2_000),
    Method("black-box", "tests.kills", "runs of 300 s", 1, 14, ("--black-box", "300")),
    Method("wire", "tests.fuzz", "mutated requests", 1_000_000, 100_000_000, ("wire",)),
    Method("client", "tests.fuzz", "mutated answers", 100_000, 10_000_000, ("client",)),
    Method(
        "zmtp", "tests.fuzz", "hostile connections", 10_000, 1_000_000, ("zmtp", "--judge-times")
    ),
    Method("mutants", "tests.mutants", "planted bugs", 4, len(patch.known())),
)


def named(names: Sequence[str], methods: Sequence[Method] = METHODS) -> list[Method]:
    """Those asked for, all when none is. Raises KeyError."""
    known = {method.name: method for method in methods}
    return [known[name] for name in names] if names else list(methods)
