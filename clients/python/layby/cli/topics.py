"""`layby topics`: what streams there are, and the end of one.

Owns the words of the list. Must never know groups beyond their number.
"""

from __future__ import annotations

from typing import Any

import click

from layby.cli.app import Noun, Setup
from layby.cli.asking import TOPICS, YES, confirm, each, entries, matcher, now_us
from layby.cli.text import relative, size

KEYS = ("name", "first", "last", "messages", "bytes", "last_us", "groups")
COLUMNS = ("topic", "messages", "size", "first", "last", "groups", "last push")


@click.group(cls=Noun)
def topics() -> None:
    """List and delete topics; alone it lists."""


@topics.command("ls")
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...")
@click.pass_obj
def list_topics(setup: Setup, patterns: tuple[str, ...]) -> None:
    """List topics, all or those that fit a pattern like 'app.*'."""
    fits = matcher(patterns)
    with setup.connect() as client:
        found = [
            {key: topic[key] for key in KEYS}
            for topic in entries(setup, client, TOPICS)
            if fits(topic["name"])
        ]
    now = now_us()
    setup.out.listing(found, COLUMNS, [_row(topic, now) for topic in found], "no topics")


def _row(topic: dict[str, Any], now: int) -> tuple[Any, ...]:
    return (
        topic["name"],
        topic["messages"],
        size(topic["bytes"]),
        topic["first"],
        topic["last"],
        topic["groups"],
        relative(topic["last_us"], now),
    )


@topics.command("delete")
@click.argument("names", nargs=-1, required=True, metavar="TOPIC...")
@YES
@click.pass_obj
def delete_topics(setup: Setup, names: tuple[str, ...], yes: bool) -> int:
    """Delete topics and all their messages."""
    confirm(f"Delete {' '.join(names)} with all messages?", yes)

    def delete(name: str) -> None:
        setup.request(client, "topic_delete", topic=name)
        setup.out.did({"topic": name, "deleted": True}, f"deleted topic {name}")

    with setup.connect() as client:
        return each(setup, names, delete)
