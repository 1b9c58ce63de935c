"""The runner goes on where it stopped, believes no silence, and PROOF.md says what is known."""

from __future__ import annotations

import json
import sys
import time

import pytest

from tests import house
from tests.mutants import patch, tree
from tests.mutants.results import Result, Results
from tests.mutants.runner import digest
from tests.prove import account, methods, model, report, slices
from tests.prove.methods import Method
from tests.prove.runner import Bounds, Prover
from tests.prove.slices import Slices

FAKE = """
import json, sys
seed, count = int(sys.argv[2]), int(sys.argv[4])
bad = [one for one in range(seed, seed + count) if one in {bad}]
print("something before")
print(json.dumps({{"method": "fake", "seed": seed, "count": count, "failures": bad, "tries": 2}}))
sys.exit(bool(bad))
"""


class Fake(Method):
    """A method of a few lines; `more` holds them."""

    def command(self, seed, count):
        return [sys.executable, "-c", *self.more, "--seed", str(seed), "--count", str(count)]


GOOD = FAKE.format(bad=[])


def fake(name="fake", size=3, goal=10, code=GOOD):
    return Fake(name, "", "things", size, goal, (code,))


@pytest.fixture
def kept(tmp_path):
    return Slices(tmp_path / "state")


def prover(kept, tmp_path, *made):
    return Prover(made, kept, tmp_path, "abc", lambda text: None)


# ---- the runner


def test_slices_follow_each_other_up_to_the_goal(kept, tmp_path):
    ran = prover(kept, tmp_path, fake()).run(Bounds())
    assert [(one.seed, one.count) for one in ran] == [(1, 3), (4, 3), (7, 3), (10, 1)]
    assert prover(kept, tmp_path, fake()).run(Bounds()) == []


def test_a_count_is_so_much_more(kept, tmp_path):
    ran = prover(kept, tmp_path, fake()).run(Bounds(count=4))
    ran += prover(kept, tmp_path, fake()).run(Bounds(count=2))
    assert [(one.seed, one.count) for one in ran] == [(1, 3), (4, 1), (5, 2)]


def test_the_one_furthest_from_its_goal_is_next(kept, tmp_path):
    ran = prover(kept, tmp_path, fake("a", 50, 100), fake("b", 1, 4)).run(Bounds())
    assert [one.method for one in ran] == ["a", "b", "b", "a", "b", "b"]


def test_no_slice_begins_after_the_time_is_over(kept, tmp_path):
    assert prover(kept, tmp_path, fake()).run(Bounds(until=time.monotonic() - 1)) == []


def test_a_broken_promise_is_kept_and_the_run_goes_on(kept, tmp_path):
    made = fake(code=FAKE.format(bad=[2, 10]))
    prover(kept, tmp_path, made).run(Bounds())
    found = account.of_all([made], kept)
    assert found["fake"]["failures"] == [2, 10]
    assert found["fake"]["done"] == 10
    assert account.failures(found) == 2


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("", "ended with 0 and gave no account"),
        ("raise SystemExit(3)", "ended with 3 and gave no account"),
        ("print('42')", "ended with 0 and gave no account"),
        ("print('{\"count\": 5}'); raise SystemExit(1)", "ended with 1"),
    ],
)
def test_a_method_that_says_nothing_has_failed(kept, tmp_path, code, why):
    (one, *_) = prover(kept, tmp_path, fake(size=10, code=code)).run(Bounds(count=1))
    assert one.failures == (why,)


def test_a_method_may_say_where_to_go_on(kept, tmp_path):
    code = 'print(\'{"count": 5, "failures": [], "next_seed": 70}\')'
    ran = prover(kept, tmp_path, fake(size=5, code=code)).run(Bounds())
    assert [one.seed for one in ran] == [1, 70]


def test_the_account_names_commits_seeds_and_sums(kept, tmp_path):
    made = fake()
    prover(kept, tmp_path, made).run(Bounds())
    one = account.of_all([made], kept)["fake"]
    assert (one["commits"], one["first_seed"], one["next_seed"]) == (["abc"], 1, 11)
    assert one["sums"] == {"tries": 8}
    assert one["first"] <= one["last"]


def test_times_are_told_by_their_medians(kept, tmp_path):
    code = """
import json, sys
times = {"p99_ms": float(sys.argv[2]), "bound_ms": 5, "events": 1000}
print(json.dumps({"count": 1, "failures": []} | times))
"""
    made = fake(size=1, goal=3, code=code)
    prover(kept, tmp_path, made).run(Bounds())
    found = account.of_all([made], kept)
    assert found["fake"]["medians"] == {"p99_ms": 2.0}
    places = "<!-- counts -->\n<!-- /counts -->\n<!-- mutants -->\n<!-- /mutants -->\n"
    shown = report.rendered(places, {"methods": found, "mutants": {}})
    assert f"| 3 {made.unit} (3,000 events; medians: p99_ms 2) |" in shown


def test_every_method_of_the_table_can_be_started():
    for method in methods.METHODS:
        path = tree.TOP / method.module.replace(".", "/")
        found = (path / "__main__.py").is_file() or path.with_suffix(".py").is_file()
        assert found, f"{method.name}: there is no {path}"
        assert 0 < method.slice <= method.goal
    with pytest.raises(KeyError):
        methods.named(["none"])


@pytest.mark.slow
def test_the_model_in_its_long_form(monkeypatch):
    told = model.account(seed=3, count=100)
    assert (told["failures"], told["next_seed"], told["count"]) == ([], 4, 100)

    def disagrees(part, examples):
        raise AssertionError("the model says otherwise")

    monkeypatch.setattr(model, "played", disagrees)
    assert "says otherwise" in model.account(seed=3, count=100)["failures"][0]


# ---- the document


def test_proof_says_what_is_known():
    """Run `make mutants`, then `python -m tests.prove --report`, and look at what has changed."""
    text = report.PROOF.read_text()
    assert report.rendered(text, report.read()) == text


CRASH_IMAGES_FIND = {"no_fsync", "no_fsync_of_state"}
"""A killed process loses nothing that it wrote: these take a power cut."""


def test_every_planted_bug_was_caught_as_it_is_now():
    known = report.read()["mutants"]
    assert sorted(known) == patch.known()
    for name, one in known.items():
        assert one["patch"] == digest(name), f"{name} has changed: make mutants MUTANT={name}"
        assert one["commit_run"], f"{name} was never hunted: make mutants MUTANT={name}"
        killer = one["commit_run"]["killed_by"]
        if name in CRASH_IMAGES_FIND and not (tree.TOP / "tests/crash").is_dir():
            continue
        assert killer, f"{name} lives: a promise that nobody checks"
        assert (tree.TOP / killer.split("::")[0]).is_file(), f"{killer} is gone; hunt {name} again"


def test_the_latest_kill_of_a_bug_counts(tmp_path):
    name = patch.known()[0]
    results = Results(tmp_path / "mutants.jsonl")
    for commit, stages, killer in (
        ("1", ("unit", "simulation"), "tests/a.py::x"),
        ("2", ("unit", "simulation"), "tests/b.py::x"),
        ("3", ("unit", "simulation"), ""),
        ("3", ("simulation",), ""),
        ("3", ("property",), "tests/c.py::x"),
    ):
        results.add(Result(name, digest(name), stages, "s", killer, 1.0, commit, "d"))
    results.add(Result(name, "another patch", ("unit",), "s", "tests/d.py::x", 1.0, "4", "d"))
    one = report.of_mutants(results)[name]
    assert one["commit_run"]["killed_by"] == "tests/b.py::x"
    assert one["whole_brokers"]["killed_by"] == ""


def test_what_was_not_run_here_stays_as_it_was_told():
    def facts(done: int, patch_digest: str, run: str | None, brokers: str | None) -> report.Facts:
        mutant = {"patch": patch_digest, "commit_run": run, "whole_brokers": brokers}
        kills = {"done": done, "unit": "loops", "goal": 9}
        return {"methods": {"kills": kills}, "mutants": {"bug": mutant}}

    last = facts(7, "a", "old", "older")
    assert report.with_last(facts(0, "a", None, "new"), last) == facts(7, "a", "old", "new")
    assert report.with_last(facts(2, "b", None, "new"), last) == facts(2, "b", None, "new")
    last["methods"]["kills"]["goal"] = 1_000
    assert report.with_last(facts(0, "a", None, None), last)["methods"]["kills"]["goal"] == 9


def test_a_document_without_places_is_refused():
    with pytest.raises(ValueError, match="0 places for counts"):
        report.rendered("no markers", {"methods": {}, "mutants": {}})


def test_the_first_seed_is_one():
    assert slices.next_seed([]) == 1
    assert json.loads(report.LAST.read_text())


def test_the_account_names_files_by_their_place_in_the_tree(tmp_path):
    path = tmp_path / "account.json"
    socket = "ipc:///some/where-else/layby-faults-7e_vz8z9/socket"
    account.write(path, {"failures": [f'File "{tree.TOP}/daemon/laybyd/serve.py"', socket]})
    told = ['File "daemon/laybyd/serve.py"', "ipc://socket"]
    assert json.loads(path.read_text()) == {"failures": told}
    assert "layby-faults-" not in report.LAST.read_text()
    assert list(house.left_behind("tests/prove/last.json", report.LAST.read_text())) == []
