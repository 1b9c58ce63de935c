"""`layby groups`: who reads what, how far, and with which settings.

Owns the words of the lists. Must never know what a setting does.
"""

from __future__ import annotations

from typing import Any

import click

from layby._units import as_start
from layby.cli import settings
from layby.cli.app import Noun, Setup
from layby.cli.asking import GROUPS, YES, confirm, each, entries, matcher, now_us
from layby.cli.params import WHEN, Parsed
from layby.cli.table import facts, plain
from layby.cli.text import relative
from layby.cli.trouble import Misused

KEYS = (
    "name", "topics", "floor", "waiting", "out", "deferred", "dead", "sessions", "handlers",
)  # fmt: skip
SHOWN = (*KEYS, "start", "made_us", "settings", "sessions_list")
COLUMNS = (
    "group", "topics", "waiting", "out", "deferred", "dead", "sessions", "handlers",
)  # fmt: skip

SETTING = Parsed("setting", settings.parse)
SET = click.option(
    "--set",
    "changes",
    type=SETTING,
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting of the group, like lease=45s, backoff=10s,1m or max_attempts=3.",
)


@click.group(cls=Noun)
def groups() -> None:
    """List, show, make, change and delete groups; alone it lists."""


@groups.command("ls")
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...")
@click.pass_obj
def list_groups(setup: Setup, patterns: tuple[str, ...]) -> None:
    """List groups, all or those that fit a pattern."""
    fits = matcher(patterns)
    with setup.connect() as client:
        found = [
            {key: group[key] for key in KEYS}
            for group in entries(setup, client, GROUPS)
            if fits(group["name"])
        ]
    rows = [tuple(_cell(group[key]) for key in _COLUMN_KEYS) for group in found]
    setup.out.listing(found, COLUMNS, rows, "no groups")


_COLUMN_KEYS = ("name", *COLUMNS[1:])


def _cell(value: Any) -> Any:
    return " ".join(value) if isinstance(value, list) else value


@groups.command("show")
@click.argument("name", metavar="GROUP")
@click.pass_obj
def show_group(setup: Setup, name: str) -> None:
    """Everything about one group: progress, settings, sessions."""
    with setup.connect() as client:
        answer = setup.request(client, "group", group=name)
    group = {key: answer[key] for key in SHOWN}
    if setup.out.json:
        setup.out.record(group)
    else:
        setup.out.line(_portrait(group))


def _portrait(group: dict[str, Any]) -> str:
    now = now_us()
    parts = [
        facts(
            [
                *((key, _cell(group[key])) for key in (*KEYS, "start")),
                ("made", relative(group["made_us"], now)),
            ]
        ),
        facts(settings.shown(group["settings"])) if group["settings"] else "",
        _sessions(group["sessions_list"]),
    ]
    return "\n\n".join(part for part in parts if part)


def _sessions(sessions: list[dict[str, Any]]) -> str:
    rows = [
        (
            bytes(one["session"]).hex()[:12],
            one["name"],
            one["handlers"],
            one["idle"],
            one["leases"],
            one["out"],
        )
        for one in sessions
    ]
    columns = ("session", "name", "handlers", "idle", "leases", "out")
    return plain(columns, rows) if rows else ""


@groups.command("create")
@click.argument("name", metavar="GROUP")
@click.argument("topics", nargs=-1, required=True, metavar="TOPIC...")
@click.option(
    "--start",
    type=WHEN,
    default="earliest",
    help="Where it begins: earliest, latest, a position, a time, or how long ago.",
)
@SET
@click.pass_obj
def create_group(
    setup: Setup,
    name: str,
    topics: tuple[str, ...],
    start: Any,
    changes: tuple[tuple[str, Any], ...],
) -> None:
    """Make a group before its first consumer comes."""
    with setup.connect() as client:
        setup.request(
            client,
            "group_create",
            group=name,
            topics=list(topics),
            start=as_start(start),
            settings=dict(changes),
        )
    _done(setup, name, "created")


@groups.command("set")
@click.argument("name", metavar="GROUP")
@click.argument("words", nargs=-1, type=SETTING, metavar="[KEY=VALUE]...")
@click.option(
    "--topics",
    "topics",
    multiple=True,
    metavar="TOPIC[,TOPIC]",
    help="What the group reads from now on, in place of what it read.",
)
@SET
@click.pass_obj
def set_group(
    setup: Setup,
    name: str,
    words: tuple[tuple[str, Any], ...],
    topics: tuple[str, ...],
    changes: tuple[tuple[str, Any], ...],
) -> None:
    """Change a group's settings or what it reads."""
    fields: dict[str, Any] = {}
    if topics:
        fields["topics"] = [topic for word in topics for topic in word.split(",") if topic]
    if words or changes:
        fields["settings"] = dict(words + changes)
    if not fields:
        raise Misused("nothing to change: name a KEY=VALUE or --topics")
    with setup.connect() as client:
        setup.request(client, "group_set", group=name, **fields)
    _done(setup, name, "changed")


@groups.command("delete")
@click.argument("names", nargs=-1, required=True, metavar="GROUP...")
@YES
@click.pass_obj
def delete_groups(setup: Setup, names: tuple[str, ...], yes: bool) -> int:
    """Delete groups, with their deferred and dead messages."""
    confirm(f"Delete {' '.join(names)} with all deferred and dead messages?", yes)

    def delete(name: str) -> None:
        setup.request(client, "group_delete", group=name)
        _done(setup, name, "deleted")

    with setup.connect() as client:
        return each(setup, names, delete)


def _done(setup: Setup, name: str, what: str) -> None:
    setup.out.did({"group": name, what: True}, f"{what} group {name}")
