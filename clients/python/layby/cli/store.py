"""`layby store`: check, back up and restore a store's directory, by a child of the daemon's making.

Owns the words and the telling. Must never know files: the child (`laybyd.storecli`) does the work
and answers with one JSON object. It is a process of its own, so that damage that kills the reader
kills only the child.
"""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
from typing import Any

import click

from layby.cli import trouble
from layby.cli.app import Noun, Setup
from layby.cli.table import facts
from layby.cli.text import harmless, size
from layby.cli.trouble import Trouble

CHILD = "laybyd.storecli"
NEEDED = ("laybyd", "lmdb")
IN_USE = 75
HINTS = {
    "in_use": "A daemon runs on it; stop it first.",
    "damaged": "A backup brings it back: layby store restore BACKUP DIR.",
}


@click.group(cls=Noun)
def store() -> None:
    """Check, back up and restore the directory of a store."""


DIRECTORY = click.argument("directory", metavar="DIR", type=click.Path())


@store.command()
@DIRECTORY
@click.pass_obj
def check(setup: Setup, directory: str) -> None:
    """Read everything in DIR and say whether it is whole; no daemon may run on it."""
    _run(setup, "check", directory)


@store.command()
@DIRECTORY
@click.argument("target", type=click.Path())
@click.pass_obj
def backup(setup: Setup, directory: str, target: str) -> None:
    """Copy the store in DIR to TARGET, which must not exist. A daemon may run on it: it goes on,
    and frees no part of its log until the copy is done."""
    _run(setup, "backup", directory, target)


@store.command()
@click.argument("source", metavar="BACKUP", type=click.Path())
@DIRECTORY
@click.pass_obj
def restore(setup: Setup, source: str, directory: str) -> None:
    """Make a store in DIR, which must not exist, of a BACKUP; its positions get a new epoch."""
    _run(setup, "restore", source, directory)


def _run(setup: Setup, verb: str, *paths: str) -> None:
    """What the child found is told; its complaint is ours."""
    _check_installed()
    quiet = ["--quiet"] if setup.out.json else []
    done = subprocess.run(
        [sys.executable, "-m", CHILD, verb, *paths, *quiet], stdout=subprocess.PIPE, check=False
    )
    answer = _answer(done)
    found = answer if done.returncode == 0 else answer.get("found")
    if found:
        _tell(setup, found)
    if done.returncode:
        raise _complaint(done.returncode, answer)


def _check_installed() -> None:
    if any(importlib.util.find_spec(name) is None for name in NEEDED):
        raise Trouble(
            "not_installed",
            "the store's tools are not installed",
            hint="pip install 'layby[server]'",
        )


def _answer(done: subprocess.CompletedProcess[bytes]) -> dict[str, Any]:
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        return {"code": "failed", "text": f"the child that read the store ended by {name}"}
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return {"code": "failed", "text": "the child that read the store failed"}
    return answer


def _complaint(status: int, answer: dict[str, Any]) -> Trouble:
    in_use = status == IN_USE
    return Trouble(
        answer["code"],
        answer["text"],
        hint=HINTS.get(answer["code"], ""),
        status=trouble.TRY_LATER if in_use else trouble.REFUSED,
        retryable=in_use,
    )


def _tell(setup: Setup, found: dict[str, Any]) -> None:
    problems = found.get("problems", ())
    if setup.out.json:
        setup.out.record(found)
        return
    plain = {name: value for name, value in found.items() if name != "problems"}
    pairs = [(name, size(value) if name == "bytes" else value) for name, value in plain.items()]
    setup.out.line(facts(pairs))
    for problem in problems:
        setup.out.line(harmless(problem))
