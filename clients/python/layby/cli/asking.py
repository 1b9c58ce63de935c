"""Questions to the broker and to the person: pages of a list, "are you sure".

Owns how a list of several answers becomes one, and when a person must be asked. Must never know
which verb asks.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import translate
from re import compile as compile_pattern
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from layby.cli import trouble
from layby.cli.trouble import Trouble

if TYPE_CHECKING:
    from layby import Client, Response
    from layby.cli.app import Setup

PAGE = 1_000

YES = click.option("--yes", "-y", is_flag=True, help="Do not ask.")


def now_us() -> int:
    return time.time_ns() // 1_000


class Listing(NamedTuple):
    """An operation that answers in pages: where the entries are, and by what they go on."""

    op: str
    entries: str
    by: str


TOPICS = Listing("topics", "topics", "name")
GROUPS = Listing("groups", "groups", "name")
PARKED = Listing("parked", "parked", "to")


def pages(
    setup: Setup, client: Client, listing: Listing, limit: int = PAGE, **fields: Any
) -> Iterator[Response]:
    """The answers, one page after the other."""
    after: dict[str, Any] = {}
    while True:
        answer = setup.request(client, listing.op, limit=limit, **fields, **after)
        yield answer
        entries = answer[listing.entries]
        if not (answer["more"] and entries):
            return
        after = {"after": entries[-1][listing.by]}


def entries(
    setup: Setup, client: Client, listing: Listing, **fields: Any
) -> Iterator[dict[str, Any]]:
    for page in pages(setup, client, listing, **fields):
        yield from page[listing.entries]


def matcher(patterns: tuple[str, ...]) -> Any:
    """Whether a name fits any of the patterns, where only * is special; none given: all fit."""
    if not patterns:
        return lambda name: True
    literal = ["".join(f"[{c}]" if c in "?[" else c for c in pattern) for pattern in patterns]
    found = compile_pattern("|".join(translate(pattern) for pattern in literal))
    return lambda name: found.match(name) is not None


def confirm(question: str, yes: bool) -> None:
    """Ask on the terminal; without one, `--yes` must have been said."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Trouble(
            "not_confirmed",
            f"{question} There is no terminal to ask on.",
            hint="Say --yes to go ahead.",
            status=trouble.USAGE,
        )
    if not click.confirm(question, err=True):
        raise Trouble("not_confirmed", "nothing was done", status=trouble.REFUSED)


def each(setup: Setup, names: Sequence[str], act: Callable[[str], object]) -> int:
    """Do it for every name, whatever became of the others; all, some or none is the exit code."""
    from layby.errors import Refused

    refusals = []
    for name in names:
        try:
            act(name)
        except Refused as error:
            trouble.show_error(error, setup.out.json)
            refusals.append(error)
    if not refusals:
        return trouble.DONE
    return trouble.PARTLY if len(refusals) < len(names) else trouble.status_of(refusals[0])


def store_facts(status: Mapping[str, Any]) -> dict[str, Any]:
    """The store's part of a status, its id readable."""
    store = dict(status["store"])
    if isinstance(store.get("id"), bytes):
        store["id"] = store["id"].hex()
    return store
