"""Copies of the tree to plant bugs in, and the environment in which their code runs.

Owns what is copied, and that a child process of any depth imports the copy's code although the
packages of the virtual environment point at the original. Must never know bugs or tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).parents[2]
SOURCES = ("daemon", "clients/python", ".")
"""Where packages are found below a tree, as pyproject.toml tells pytest."""

LEFT_BEHIND = shutil.ignore_patterns(
    ".git", ".venv", ".prove", ".hypothesis", ".*_cache", ".import_linter_cache", "var", "reports"
)

WHERE = "import layby, laybyd, tests; print(layby.__file__, laybyd.__file__, tests.__path__)"


def copy(source: Path, target: Path) -> None:
    """Compiled files go along, with the times that make them valid."""
    shutil.copytree(source, target, ignore=LEFT_BEHIND, symlinks=True)


def environment(tree: Path) -> dict[str, str]:
    """PYTHONPATH comes before what the virtual environment has installed."""
    path = os.pathsep.join(str((tree / one).resolve()) for one in SOURCES)
    return {**os.environ, "PYTHONPATH": path}


def check_imports(tree: Path) -> None:
    """Raises RuntimeError when a child would run other code than the tree's."""
    done = subprocess.run(
        [sys.executable, "-c", WHERE],
        cwd=tree.parent,
        env=environment(tree),
        capture_output=True,
        text=True,
        check=True,
    )
    if done.stdout.count(str(tree.resolve())) != 3:
        raise RuntimeError(f"a child of {tree} imports other code: {done.stdout}{done.stderr}")


def commit() -> str:
    """What the tree is, with a + when it was changed since."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*words: str) -> str:
    command = ["git", "-C", str(TOP), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
