"""The commit run in stages, fast ones first, and what one of them says of a tree.

Owns the list of stages and the way pytest is asked. Must never know which bug is in the tree.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, NamedTuple

from tests.mutants import tree

PATIENCE_S = 1_200
"""A tree in which nothing moves any more is as red as one that fails."""

_running: set[int] = set()
_stopping = threading.Event()
_RED = re.compile(r"^(?:FAILED|ERROR) (\S+::.*?)(?: - .*)?$", re.MULTILINE)


class Stopped(Exception):
    """`end_all` was called: nothing more is run."""


class Stage(NamedTuple):
    """`more`: what pytest is told besides. `system`: it runs whole brokers, not single units."""

    name: str
    paths: tuple[str, ...]
    more: tuple[str, ...] = ()
    system: bool = True


STAGES = (
    Stage("unit", ("tests/unit", "tests/contract"), system=False),
    Stage("property", ("tests/property",), system=False),
    # What is planted on top of a planted bug says nothing.
    Stage("simulation", ("tests/simulation",), ("-k", "not planted")),
    Stage("crash", ("tests/crash",)),
    Stage("faults", ("tests/faults",)),
    Stage("damage", ("tests/damage", "tests/formats", "tests/clocks")),
    Stage("fuzz", ("tests/fuzz",)),
    Stage("audit", ("tests/audit",)),
    Stage("kills", ("tests/kills",)),
    Stage("integration", ("tests/integration",)),
)


class Verdict(NamedTuple):
    """`red`: the first check that failed, or why nothing more can be said; empty when green."""

    red: str
    seconds: float
    whole: bool = True


def existing(top: Path, names: tuple[str, ...] = ()) -> list[Stage]:
    """The stages that this tree has, of those asked for."""
    found = [one for one in STAGES if all((top / path).is_dir() for path in one.paths)]
    return [one for one in found if not names or one.name in names]


def run(stage: Stage, where: Path, log: Path, without: Sequence[str] = ()) -> Verdict:
    """`without`: checks that are left out."""
    left_out = [f"--deselect={test}" for test in without]
    return _pytest(where, log, (*stage.paths, *stage.more, *left_out))


def run_one(test: str, where: Path, log: Path) -> Verdict:
    """Only that check."""
    return _pytest(where, log, (test,))


def _pytest(where: Path, log: Path, words: tuple[str, ...]) -> Verdict:
    """`where` is a tree; scratch files go beside it."""
    options = ["-x", "-q", "-rfE", "--tb=short", "-p", "no:cacheprovider"]
    scratch = ["--basetemp", str(where.parent / "t")]
    command = [sys.executable, "-m", "pytest", *options, *scratch, *words]
    began = time.monotonic()
    with log.open("wb") as out:
        status = _status(command, where, out)
    seconds = round(time.monotonic() - began, 1)
    return _verdict(status, log.read_text(errors="replace"), seconds)


def _status(command: Sequence[str], where: Path, out: IO[bytes]) -> int | None:
    """None when it had to be killed. Whatever it has left running goes with it. Raises Stopped."""
    child = subprocess.Popen(
        command,
        cwd=where,
        env=tree.environment(where),
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    _running.add(child.pid)
    try:
        status = None if _stopping.is_set() else child.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        status = None
    finally:
        _running.discard(child.pid)
        _end(child.pid)
        child.wait()
    if _stopping.is_set():
        raise Stopped
    return status


def end_all() -> None:
    """Of what other threads have started."""
    _stopping.set()
    for group in list(_running):
        _end(group)


def _end(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _verdict(status: int | None, said: str, seconds: float) -> Verdict:
    if status == 0:
        return Verdict("", seconds)
    if status is None:
        return Verdict(f"no end within {PATIENCE_S} s", seconds, whole=False)
    red = _RED.search(said)
    if red is not None:
        return Verdict(red[1], seconds)
    return Verdict(f"pytest ended with {status} and named no test", seconds, whole=False)
