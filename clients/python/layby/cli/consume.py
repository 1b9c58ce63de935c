"""`layby consume`: a group's messages on stdout, each acked once its line is written.

Owns when a line counts as written and when it is enough. Must never know leases.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from layby.cli import trouble
from layby.cli.app import Setup, Verb
from layby.cli.messages import delivered, line_maker
from layby.cli.out import on_terminal
from layby.cli.params import DURATION, WHEN
from layby.cli.pipe import Pipe
from layby.cli.stopping import stopping

if TYPE_CHECKING:
    from layby import Consumer, Record


@click.command(cls=Verb, short_help="Print a group's messages, acked once written.")
@click.argument("topics", nargs=-1, required=True, metavar="TOPIC...")
@click.option("--group", "-g", required=True, help="The group to read as.")
@click.option("-n", "wanted", type=click.IntRange(1), help="End after so many messages.")
@click.option(
    "--wait",
    type=DURATION,
    help="With -n: give up after this long (exit 4). Without: end when nothing came for this long.",
)
@click.option(
    "--start",
    type=WHEN,
    default="earliest",
    help="Where a new group begins: earliest, latest, a position, a time, or how long ago.",
)
@click.pass_obj
def consume(
    setup: Setup,
    topics: tuple[str, ...],
    group: str,
    wanted: int | None,
    wait: float | None,
    start: Any,
) -> int:
    """Print a group's messages, one a line; a message is acked once its line is written."""
    make_line = line_maker(setup.out.json, on_terminal(), delivered)
    with setup.connect() as client:
        consumer = client.consume(
            *topics,
            group=group,
            start=start,
            idle_timeout=wait if wanted is None else None,
        )
        with consumer, stopping(consumer.stop) as stop:
            limit = wait if wanted is not None else None
            with _stopped_after(limit, consumer):
                printed, closed = _print_all(consumer, make_line, wanted)
    if closed or wanted is None or printed == wanted:
        return trouble.DONE
    return stop.status or trouble.FEWER


def _print_all(
    consumer: Consumer, make_line: Callable[[Record], bytes], wanted: int | None
) -> tuple[int, bool]:
    """How many lines went out, and whether it ended because nobody reads them."""
    pipe = Pipe()
    printed = 0
    for message in consumer:
        if not pipe.write(make_line(message)):
            message.release()
            return printed, True
        message.ack()
        printed += 1
        if printed == wanted:
            break
    return printed, False


@contextmanager
def _stopped_after(seconds: float | None, consumer: Consumer) -> Iterator[None]:
    timer = threading.Timer(seconds, consumer.stop) if seconds is not None else None
    if timer is None:
        yield
        return
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
