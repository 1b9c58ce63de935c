"""The list of rules says what is so: each rule has its faults, its invariants, its planted bugs."""

from __future__ import annotations

import tomllib
from collections import Counter
from functools import reduce
from importlib import import_module
from pathlib import Path

import pytest

from laybyd.core.settings import CoreSettings, GroupSettings
from tests.mutants import patch
from tests.simulation.broker_host import Pace
from tests.simulation.consumers import Way
from tests.simulation.handling import Handling
from tests.simulation.mutants import MUTANTS
from tests.simulation.network import Faults
from tests.simulation.producers import Habits
from tests.simulation.workload import Chaos, Plan

TOP = Path(__file__).parents[1]
LISTED = tomllib.loads((TOP / "tests/rules.toml").read_text())
RULES = LISTED["rule"]
CORE = {path.stem for path in (TOP / "daemon/laybyd/core").glob("*.py")} - {"__init__"}
PARTS = {
    "chaos": Chaos,
    "faults": Faults,
    "habits": Habits,
    "handling": Handling,
    "pace": Pace,
    "plan": Plan,
    "way": Way,
}
PLANTED = {*patch.known(), *MUTANTS}


def found(path: str) -> object:
    """The function below tests/ that this names."""
    words = path.split(".")
    for at in range(len(words) - 1, 0, -1):
        if (TOP / "tests" / Path(*words[:at])).with_suffix(".py").is_file():
            module = import_module(".".join(["tests", *words[:at]]))
            return reduce(getattr, words[at:], module)
    raise AssertionError(f"{path}: there is no such module below tests/")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["name"])
class TestEachRule:
    def test_stands_in_the_code(self, rule):
        assert set(rule["core"]) <= CORE
        assert rule["core"]
        for path in rule.get("elsewhere", ()):
            assert (TOP / "daemon/laybyd" / path).is_file(), path

    def test_has_invariants(self, rule):
        assert rule["invariants"]
        for path in rule["invariants"]:
            assert callable(found(path)), path

    def test_has_faults(self, rule):
        assert rule["faults"]
        for name in rule["faults"]:
            part, _, field = name.partition(".")
            assert field in PARTS[part]._fields, name

    def test_has_two_planted_bugs_at_least(self, rule):
        assert len(set(rule["mutants"])) >= 2
        assert set(rule["mutants"]) <= PLANTED, set(rule["mutants"]) - PLANTED


def test_no_part_of_the_core_is_without_a_rule():
    ruled = {module for rule in RULES for module in rule["core"]}
    assert ruled | set(LISTED["plain"]) == CORE
    assert not ruled & set(LISTED["plain"])


def test_every_setting_belongs_to_a_rule():
    obeyed = {name for rule in RULES for name in rule["settings"]}
    assert obeyed == {*CoreSettings._fields, *GroupSettings._fields} - {"group"}


def test_every_planted_bug_breaks_a_rule():
    used = {name for rule in RULES for name in rule["mutants"]}
    assert not PLANTED - used


def test_no_rule_is_named_twice():
    assert max(Counter(rule["name"] for rule in RULES).values()) == 1


@pytest.mark.parametrize("path", ["simulation.auditor.Auditor.forgives", "simulation.none.f"])
def test_what_is_not_there_is_noticed(path):
    with pytest.raises((AssertionError, AttributeError)):
        found(path)
