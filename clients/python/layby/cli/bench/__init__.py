"""`layby bench`: what this broker does on this machine.

Owns the options of the five measurements. Must never know how one is made or told.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from layby.cli.app import Noun, Setup
from layby.cli.bench.roles import STAMP
from layby.cli.params import DURATION, SIZE

Command = Callable[..., Any]

SHARED = (
    click.option("--size", type=SIZE, default="200", help="Bytes of one message (200)."),
    click.option("--messages", type=click.IntRange(1), help="So many messages a run."),
    click.option("--seconds", type=DURATION, default="3s", help="Else so long a run (3s)."),
    click.option("--runs", type=click.IntRange(1), default=3, help="So many runs (3)."),
    click.option(
        "--disk",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="Measure the disk of this directory too: append and flush.",
    ),
)
BLOCK = click.option("--block", type=SIZE, help="Bytes of a block (the client's default).")
WINDOW = click.option("--window", type=click.IntRange(1), help="Blocks under way at a time.")
BATCH = click.option("--batch", type=click.IntRange(1), default=5_000, help="Messages a batch.")


def with_options(*own: Command) -> Callable[[Command], Command]:
    def add(command: Command) -> Command:
        for option in reversed((*SHARED, *own)):
            command = option(command)
        return click.pass_obj(command)

    return add


@click.group(cls=Noun, short_help="Measure this broker on this machine.")
def bench() -> None:
    """Measure pushing and consuming, on topics of their own that are deleted at the end."""


@bench.command()
@with_options(BLOCK, WINDOW)
def push(setup: Setup, **words: Any) -> None:
    """One producer, many messages: blocks, many under way."""
    _measure(setup, "push", words)


@bench.command()
@with_options()
def sync(setup: Setup, **words: Any) -> None:
    """One producer, one message at a time, each waiting for its confirm."""
    _measure(setup, "sync", words)


@bench.command()
@with_options(BATCH, BLOCK)
def consume(setup: Setup, **words: Any) -> None:
    """One consumer on a full topic: batches, and beside it the plain loop; all is acked."""
    _measure(setup, "consume", words)


@bench.command()
@with_options(
    BATCH,
    BLOCK,
    WINDOW,
    click.option("--threads", is_flag=True, help="Both in one process, sharing its lock."),
)
def e2e(setup: Setup, **words: Any) -> None:
    """A producer and a consumer at once, each in a process of its own."""
    _measure(setup, "e2e", words)


@bench.command("fan-in")
@with_options(
    click.option("--clients", type=click.IntRange(1), default=64, help="Sockets (64)."),
)
def fan_in(setup: Setup, **words: Any) -> None:
    """Many bare sockets, each with one push of one message under way."""
    _measure(setup, "fan-in", words)


def _measure(setup: Setup, name: str, words: dict[str, Any]) -> None:
    """What measures is loaded only now: nobody else needs it."""
    from layby.cli.bench.report import measure

    if words["size"] < STAMP.size:
        raise click.BadParameter(f"at least {STAMP.size} bytes", param_hint="--size")
    measure(setup, name, words)
