"""Some seeds of the simulated world, those that once failed, and the planted bugs."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.audit_log import Violation
from tests.simulation.campaign import Account, campaign
from tests.simulation.mutants import MUTANTS, planted
from tests.simulation.shrink import Case, Shrinker, check, failure_of, parse

SEEDS_FILE = Path(__file__).with_name("seeds.txt")
STEPS = 3_000
FRUITFUL = (1, 3, 5, 15, 4, 8, 12, 21, 32, 6, 27, 74, 136, 182, 236, 311, 350, 1383, 79)
MUTANT_CASES = (
    *(Case(seed, STEPS) for seed in FRUITFUL),
    Case(236, STEPS, ("tells_us",)),
    *(Case(seed, STEPS) for seed in range(1, 60) if seed not in FRUITFUL),
)
EVENTS = 1_000_000
PARTS = 25
"""So that two processors can share them."""


def once_failed() -> list[str]:
    lines = SEEDS_FILE.read_text().splitlines()
    return [kept for line in lines if (kept := line.split("#")[0].strip())]


@pytest.mark.slow
@pytest.mark.parametrize("line", once_failed())
def test_what_failed_once(line: str):
    check(parse(line))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(1, PARTS + 1))
def test_a_million_events(part: int):
    """Each part over seeds of its own, as many as it takes."""
    events = 0
    for seed in itertools.count(part * 1_000):
        events += check(Case(seed, STEPS)).steps
        if events >= EVENTS // PARTS:
            return


def test_a_seed_is_the_same_run_to_the_byte_everywhere():
    """Whatever the order of sets and dicts of other keys is in a process."""
    one, other = (printed(hash_seed, "--seed", "4", "--steps", "1500") for hash_seed in "12")
    assert one == other
    assert b'"digest": "' in one
    assert one != printed("1", "--seed", "4", "--steps", "1501")


def printed(hash_seed: str, *args: str) -> bytes:
    command = [sys.executable, "-m", "tests.simulation", *args]
    env = os.environ | {"PYTHONHASHSEED": hash_seed}
    return subprocess.run(command, env=env, check=True, capture_output=True).stdout


@pytest.mark.slow
def test_what_fails_is_made_small_and_the_line_that_is_left_fails_too():
    with planted("due_at_once"):
        small, found = Shrinker(60).shrink(Case(1, STEPS))
        assert "is due after" in str(found)
        assert small.steps < STEPS
        assert {"lose", "operators", "sessions.0"} <= set(small.gone)
        replayed = failure_of(parse(small.text))
        assert str(replayed) == str(found)
        [failure] = campaign([small], jobs=1).failures
        assert failure["case"].startswith(f"1 {small.steps} -")
    assert failure_of(small) is None, "it fails by the planted bug alone"


def test_a_campaign_ends_when_so_much_has_happened():
    account: Account = campaign((Case(seed, 300) for seed in itertools.count(1)), 1, 2_000)
    assert account.events >= 2_000
    assert account.fields(1)["count"] == len(account.done) < 10
    assert account.failures == []


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_planted_bugs_are_found(name: str):
    """By a broken promise, not by a crash of the mutant, and only where it is planted."""
    case, found = hunt(name)
    assert isinstance(found.__cause__, AssertionError), str(found)
    case.run()


def hunt(name: str) -> tuple[Case, Violation]:
    with planted(name):
        for case in MUTANT_CASES:
            found = failure_of(case)
            if found is not None:
                return case, found
    raise AssertionError(f"{name} lives through {[case.text for case in MUTANT_CASES]}")
