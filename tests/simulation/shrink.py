"""A run that failed, made small: less time, fewer clients, fewer faults, roomier limits.

Owns cases: a seed, its steps and what is taken away, as one line that says it all. Knows nothing
of why a run fails; a smaller one counts if it fails in the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tests.simulation.audit_log import Violation
from tests.simulation.cuts import cut, names
from tests.simulation.simulation import Summary, run
from tests.simulation.workload import draw

TRIES = 120


class Case(NamedTuple):
    """`text` is a line of seeds.txt: seed, steps, and `-name` for each thing taken away."""

    seed: int
    steps: int
    gone: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return " ".join((str(self.seed), str(self.steps), *(f"-{name}" for name in self.gone)))

    def run(self) -> Summary:
        return run(self.seed, self.steps, cut(draw(self.seed), self.gone))


def parse(line: str) -> Case:
    seed, steps, *gone = line.split("#")[0].split()
    return Case(int(seed), int(steps), tuple(name.removeprefix("-") for name in gone))


class Shrinker:
    def __init__(self, tries: int, said: Callable[[str], None] = lambda text: None) -> None:
        self._tries = tries
        self._said = said

    def shrink(self, case: Case) -> tuple[Case, Violation]:
        """The smallest case found, and how it fails. The case given must fail."""
        found = failure_of(case)
        assert found is not None, f"{case.text} does not fail"
        small = case._replace(steps=min(case.steps, found.step))
        if small != case:
            found = failure_of(small) or found
        before = None
        while before != small:
            before = small
            small, found = self._once(small, found)
        return small, found

    def _once(self, small: Case, found: Violation) -> tuple[Case, Violation]:
        plan = draw(small.seed)
        for name in names(plan, small.gone):
            if cut(plan, (*small.gone, name)) == cut(plan, small.gone):
                continue
            small, found = self._try(small, found, small._replace(gone=(*small.gone, name)))
        while small.steps > 1:
            shorter, found = self._try(small, found, small._replace(steps=small.steps // 2))
            if shorter == small:
                break
            small = shorter
        return small, found

    def _try(self, small: Case, found: Violation, smaller: Case) -> tuple[Case, Violation]:
        if not self._tries:
            return small, found
        self._tries -= 1
        failure = failure_of(smaller)
        if failure is None or type(failure.__cause__) is not type(found.__cause__):
            return small, found
        self._said(f"fails still with {smaller.steps} steps and {len(smaller.gone)} things less")
        return smaller._replace(steps=min(smaller.steps, failure.step)), failure


def failure_of(case: Case) -> Violation | None:
    try:
        case.run()
    except Violation as violation:
        return violation
    return None


def check(case: Case) -> Summary:
    """Run it; if it fails, say what the smallest case is that does."""
    try:
        return case.run()
    except Violation:
        small, found = Shrinker(TRIES // 4).shrink(case)
        raise Violation(f"keep in seeds.txt: {small.text}\n{found}", found.step) from found
