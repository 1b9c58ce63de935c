"""Some seeds of the simulated world, those that once failed, and the planted bugs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation.audit_log import Violation
from tests.simulation.mutants import MUTANTS, planted
from tests.simulation.simulation import run

SEEDS_FILE = Path(__file__).with_name("seeds.txt")
STEPS = 3_000
MUTANT_SEEDS = range(1, 60)


def once_failed() -> list[tuple[int, int]]:
    lines = SEEDS_FILE.read_text().splitlines()
    pairs = [line.split("#")[0].split() for line in lines]
    return [(int(pair[0]), int(pair[1])) for pair in pairs if pair]


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "steps"), once_failed())
def test_what_failed_once(seed: int, steps: int):
    run(seed, steps)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1_000, 1_020))
def test_world(seed: int):
    summary = run(seed, STEPS)
    assert summary.steps >= STEPS


def test_the_same_seed_is_the_same_run():
    assert run(7, 500) == run(7, 500)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_planted_bugs_are_found(name: str):
    """By a broken promise, not by a crash of the mutant, and only where it is planted."""
    seed, found = hunt(name)
    assert isinstance(found.__cause__, AssertionError), str(found)
    run(seed, STEPS)


def hunt(name: str) -> tuple[int, Violation]:
    for seed in MUTANT_SEEDS:
        try:
            with planted(name):
                run(seed, STEPS)
        except Violation as violation:
            return seed, violation
    raise AssertionError(f"{name} lives through seeds {MUTANT_SEEDS}")
