"""Every planted bug still fits the tree, and the runner believes no check without reason."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from loadtests.daemon import command
from tests.mutants import patch, stages, tree
from tests.mutants.patch import Misfit
from tests.mutants.results import Result, Results
from tests.mutants.runner import Runner

PRODUCT = ("daemon/laybyd/", "clients/python/layby/")

MUST_BE_CAUGHT = {
    "confirm before commit": "confirm_before_commit",
    "no fsync": "no_fsync",
    "fence ignored": "fence_ignored",
    "off by one at the end of a block": "block_end_off_by_one",
    "late ack taken while another holds the message": "late_ack_beats_the_holder",
    "lost defer": "lost_defer",
    "early due": "early_due",
    "floor too high": "floor_too_high",
    "recycled segment still referenced": "recycled_before_the_state_says_so",
    "dedupe forgotten after a crash": "dedupe_forgotten_after_a_crash",
    "preempt forgotten": "preempt_forgotten",
    "reserve ignored": "reserve_ignored",
    "max_wait ignored": "max_wait_ignored",
    "attempts reset by a restart": "attempts_reset_by_a_restart",
    "swallowed ENOSPC": "swallowed_enospc",
    "CRC not checked": "crc_of_blocks_not_checked",
    "wrong byte order of a key": "timers_in_wrong_byte_order",
    "answer to the wrong peer": "answer_to_the_wrong_peer",
    "lease by wall clock": "lease_by_wall_clock",
    "released range handed out twice": "released_range_handed_out_twice",
}


# ---- the patches


@pytest.mark.parametrize("name", patch.known())
def test_a_patch_fits_the_tree_and_changes_the_product_alone(name):
    found = patch.load(name)
    assert re.fullmatch(r"[a-z0-9_]+", name)
    assert found.promise
    for path, text in found.changed(tree.TOP).items():
        assert path.startswith(PRODUCT), f"{path}: a bug is planted into the product, not elsewhere"
        assert text != (tree.TOP / path).read_text()
        ast.parse(text)


def test_the_usual_mistakes_are_planted():
    assert set(MUST_BE_CAUGHT.values()) <= set(patch.known())
    assert len(patch.known()) >= 24


DIFF = """breaks: nothing twice

--- a/one.py
+++ b/one.py
@@ -70,3 +70,3 @@
 before
-old
+new
 after
"""


def test_a_patch_stands_where_its_lines_stand(tmp_path):
    (tmp_path / "one.py").write_text("more\nbefore\nold\nafter\n")
    found = patch.parse("x", DIFF)
    assert (found.promise, found.paths) == ("nothing twice", ["one.py"])
    found.apply(tmp_path)
    assert (tmp_path / "one.py").read_text() == "more\nbefore\nnew\nafter\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("before\nnew\nafter\n", "stand 0 times"),
        ("before\nold\nafter\n" * 2, "stand 2 times"),
        (None, "there is no"),
    ],
)
def test_a_patch_that_does_not_fit_says_so(tmp_path, text, why):
    if text is not None:
        (tmp_path / "one.py").write_text(text)
    with pytest.raises(Misfit, match=why):
        patch.parse("x", DIFF).changed(tmp_path)


@pytest.mark.parametrize(
    ("text", "why"),
    [(DIFF.removeprefix("breaks: "), "which promise"), ("breaks: it\n", "changes nothing")],
)
def test_what_is_no_patch_says_so(text, why):
    with pytest.raises(Misfit, match=why):
        patch.parse("x", text)


# ---- the copies


@pytest.mark.slow
def test_children_run_the_copy(tmp_path):
    """Also those that are started by the command of the virtual environment."""
    copied = tmp_path / "tree"
    tree.copy(tree.TOP, copied)
    tree.check_imports(copied)
    package = copied / "daemon/laybyd/__init__.py"
    package.write_text(package.read_text() + '__version__ = "9.9.9"\n')
    for words in ([sys.executable, "-m", "laybyd"], [command("laybyd")]):
        done = subprocess.run(
            [*words, "--version"],
            cwd=tmp_path,
            env=tree.environment(copied),
            capture_output=True,
            text=True,
            check=True,
        )
        assert "9.9.9" in done.stdout


def test_a_copy_that_is_not_run_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises((RuntimeError, subprocess.CalledProcessError)):
        tree.check_imports(tmp_path / "empty")


# ---- what pytest says


@pytest.mark.parametrize(
    ("status", "said", "red"),
    [
        (0, "3 passed", ""),
        (1, "FAILED tests/a.py::test_x[1 - 2] - assert 1", "tests/a.py::test_x[1"),
        (1, "FAILED tests/a.py::test_x - assert 1 == 2", "tests/a.py::test_x"),
        (1, "ERROR tests/a.py::test_x - OSError", "tests/a.py::test_x"),
        (2, "ERROR tests/a.py - SyntaxError", "pytest ended with 2 and named no test"),
        (None, "", f"no end within {stages.PATIENCE_S} s"),
    ],
)
def test_the_first_red_check_is_named(status, said, red):
    verdict = stages._verdict(status, said, 1.0)
    assert verdict.red == red
    assert verdict.whole == (not red or "::" in red)


def test_every_suite_has_a_stage():
    """A new folder of tests takes part in the hunt, or is named here."""
    told = {path for stage in stages.STAGES for path in stage.paths}
    suites = {
        f"tests/{one.name}"
        for one in (tree.TOP / "tests").iterdir()
        if one.is_dir() and list(one.glob("test_*.py"))
    }
    assert suites - told <= {"tests/mutants", "tests/prove"}


# ---- the runner, in a tree of its own

TREE = {
    "pyproject.toml": "[tool.pytest.ini_options]\npythonpath = ['daemon', '.']\n",
    "daemon/laybyd/__init__.py": "def answer():\n    return 42\n",
    "clients/python/layby/__init__.py": "",
    "tests/unit/test_it.py": (
        "import laybyd\n\n\ndef test_it():\n    assert laybyd.answer() != 43\n"
    ),
    "tests/contract/test_none.py": "def test_none():\n    assert True\n",
    "tests/property/test_luck.py": (
        "import laybyd\n\n\ndef test_red_anyway():\n    assert laybyd.answer() != 42\n\n\n"
        "def test_red_anyway_with_or_without():\n    assert laybyd.answer() not in (41, 42)\n\n\n"
        "def test_red_with_the_bug():\n    assert laybyd.answer() != 41\n"
    ),
}


def diff(new: str) -> str:
    return (
        "breaks: the answer\n--- a/daemon/laybyd/__init__.py\n+++ b/daemon/laybyd/__init__.py\n"
        f"@@ -1,2 +1,2 @@\n def answer():\n-    return 42\n+    return {new}\n"
    )


@pytest.fixture
def runner(tmp_path, monkeypatch):
    patches = tmp_path / "patches"
    patches.mkdir()
    (patches / "wrong.patch").write_text(diff("43"))
    (patches / "hidden.patch").write_text(diff("41"))
    (patches / "harmless.patch").write_text(diff("42 + 0"))
    monkeypatch.setattr(patch, "PATCHES", patches)
    source = tmp_path / "source"
    for path, text in TREE.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_text(text)
    return Runner(source, tmp_path / "work", tmp_path / "logs", lambda text: None)


@pytest.mark.slow
def test_a_bug_is_killed_by_the_first_check_that_is_red(runner):
    result = runner.run("wrong", runner.stages([]))
    assert (result.stage, result.killed_by) == ("unit", "tests/unit/test_it.py::test_it")
    assert result.stages == ("unit", "property")
    assert result.seconds > 0


@pytest.mark.slow
def test_a_check_that_is_red_without_the_bug_kills_nothing(runner):
    result = runner.run("harmless", runner.stages(["property"]))
    assert (result.stage, result.killed_by) == ("", "")
    assert result.doubts == ("tests/property/test_luck.py::test_red_anyway",)


@pytest.mark.slow
def test_the_hunt_goes_on_behind_a_check_that_is_not_believed(runner):
    result = runner.run("hidden", runner.stages(["property"]))
    assert result.doubts == ("tests/property/test_luck.py::test_red_anyway_with_or_without",)
    assert result.killed_by == "tests/property/test_luck.py::test_red_with_the_bug"


@pytest.mark.slow
def test_a_hunt_that_is_stopped_leaves_nothing_running(runner, tmp_path, monkeypatch):
    """Its test waits for a pipe that nobody writes to."""
    monkeypatch.setattr(stages, "_stopping", threading.Event())
    os.mkfifo(pipe := tmp_path / "pipe")
    lines = ["from pathlib import Path", f"pipe = Path({str(pipe)!r})", "def test_waits():"]
    lines += ["    pipe.write_text('here')", "    pipe.read_text()"]
    (tmp_path / "work/clean/tree/tests/unit/test_it.py").write_text("\n".join(lines))
    with ThreadPoolExecutor(1) as pool:
        hunt = pool.submit(runner.run, "wrong", runner.stages(["unit"]))
        assert pipe.read_text() == "here"
        stages.end_all()
        with pytest.raises(stages.Stopped):
            hunt.result()
    assert not stages._running


# ---- what is kept


def test_results_are_kept_and_the_last_counts(tmp_path):
    path = tmp_path / "deep" / "mutants.jsonl"
    first = Result("a", "p", ("unit",), "", "", 1.0, "c", "d")
    again = first.__class__("a", "p", ("unit",), "unit", "t::x", 2.0, "c", "d", ("t::y",))
    other = Result("a", "p", ("simulation",), "simulation", "s::x", 3.0, "c", "d")
    results = Results(path)
    for one in (first, other, again):
        results.add(one)
    kept = Results(path)
    assert kept.get(first.key) == again
    assert kept.latest() == {"a": [other, again]}
