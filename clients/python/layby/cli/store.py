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
from layby.cli.text import size
from layby.cli.trouble import Trouble

CHILD = "laybyd.storecli"
NEEDED = ("laybyd", "lmdb")
IN_USE = 75
SHOWN_AS_SIZE = {"bytes", "used", "limit"}


@click.group(cls=Noun)
def store() -> None:
    """Check, back up and restore the directory of a store."""


DIRECTORY = click.argument("directory", metavar="DIR", type=click.Path())


@store.command()
@DIRECTORY
@click.pass_obj
def check(setup: Setup, directory: str) -> None:
    """Read everything in DIR and say whether it is whole; the daemon must not be running."""
    _tell(setup, _child("check", directory))


@store.command()
@DIRECTORY
@click.argument("target", type=click.Path())
@click.pass_obj
def backup(setup: Setup, directory: str, target: str) -> None:
    """Copy the store in DIR to TARGET, which must not exist."""
    _tell(setup, _child("backup", directory, target))


@store.command()
@click.argument("source", metavar="BACKUP", type=click.Path())
@DIRECTORY
@click.pass_obj
def restore(setup: Setup, source: str, directory: str) -> None:
    """Make DIR, which must not exist, from a BACKUP; positions get a new epoch."""
    _tell(setup, _child("restore", source, directory))


def _tell(setup: Setup, found: dict[str, Any]) -> None:
    setup.out.facts(found, [(name, _shown(name, value)) for name, value in found.items()])


def _shown(name: str, value: Any) -> Any:
    if name in SHOWN_AS_SIZE and isinstance(value, int):
        return size(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return str(value)


def _child(verb: str, *paths: str) -> dict[str, Any]:
    """What the child found; its complaint is ours."""
    if any(importlib.util.find_spec(name) is None for name in NEEDED):
        raise Trouble(
            "not_installed",
            "the store's tools are not installed",
            hint="pip install 'layby[server]'",
        )
    done = subprocess.run(
        [sys.executable, "-m", CHILD, verb, *paths], stdout=subprocess.PIPE, check=False
    )
    answer = _answer(done)
    if done.returncode == 0:
        return answer
    raise Trouble(
        answer.get("code", "failed"),
        answer.get("text", "the store's tools failed"),
        hint=answer.get("hint", ""),
        status=trouble.TRY_LATER if done.returncode == IN_USE else trouble.REFUSED,
        retryable=done.returncode == IN_USE,
    )


def _answer(done: subprocess.CompletedProcess[bytes]) -> dict[str, Any]:
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        return {"code": "damaged", "text": f"reading the store ended by {name}: it is damaged"}
    try:
        found = json.loads(done.stdout)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
