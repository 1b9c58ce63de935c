"""`layby tail`: what comes by, without a group and without taking work from anybody.

Owns where to begin and when it is enough. Must never know leases.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from layby._units import as_start
from layby.cli import trouble
from layby.cli.app import Setup, Verb
from layby.cli.asking import TOPICS, entries, matcher
from layby.cli.messages import contents, line_maker
from layby.cli.out import on_terminal
from layby.cli.params import FROM, WHEN
from layby.cli.pipe import Pipe
from layby.cli.stopping import stopping
from layby.cli.trouble import Misused

if TYPE_CHECKING:
    from layby import Client, Record

LAST_MAX = 100_000


@click.command(cls=Verb, short_help="Print messages as they come, without a group.")
@click.argument("topics", nargs=-1, required=True, metavar="TOPIC...")
@click.option(
    "--from",
    "start",
    type=FROM,
    default="latest",
    help="earliest, latest, a time, how long ago (10m), a position, or -N: the last N messages.",
)
@click.option("--until", type=WHEN, help="End before this position or time; `now` is one, too.")
@click.option("-n", "wanted", type=click.IntRange(1), help="End after so many messages.")
@click.pass_obj
def tail(setup: Setup, topics: tuple[str, ...], start: Any, until: Any, wanted: int | None) -> int:
    """Print messages as they come, one a line. No group, no ack: it takes no work."""
    if isinstance(until, str):
        raise Misused("--until takes a position or a time")
    make_line = line_maker(setup.out.json, on_terminal(), contents)
    with setup.connect() as client, stopping(client.stop) as stop:
        shown = Shown(make_line, wanted)
        end, seconds = _end(setup, client, topics, until)
        if isinstance(start, tuple):
            records, start = _last(setup, client, topics, min(start[1], LAST_MAX), end)
            shown.all_of(records)
        if not shown.enough:
            reader = client.read(*topics, start=start, until=end)
            with reader, _stopped_after(seconds, reader.stop):
                shown.all_of(reader)
    return stop.status if stop.signal and wanted is not None else trouble.DONE


class Shown:
    """Lines written so far, and whether it is enough or nobody reads on."""

    def __init__(self, make_line: Callable[[Record], bytes], wanted: int | None) -> None:
        self.enough = False
        self._make_line = make_line
        self._left = wanted
        self._pipe = Pipe()

    def all_of(self, records: Iterable[Record]) -> None:
        for record in records:
            if not self._pipe.write(self._make_line(record)):
                self.enough = True
            if self._left is not None:
                self._left -= 1
                self.enough = self.enough or not self._left
            if self.enough:
                return


def _end(
    setup: Setup, client: Client, topics: tuple[str, ...], until: int | datetime | None
) -> tuple[int | None, float | None]:
    """Before which position to end, or after how many seconds when the time is yet to come."""
    if not isinstance(until, datetime):
        return until, None
    left = until.timestamp() - time.time()
    if left > 0:
        return None, left
    fields = {"topics": list(topics), "from": as_start(until), "limit": 1}
    answer = setup.request(client, "read", **fields)
    blocks = answer["blocks"]
    return (blocks[0]["ranges"][0] if blocks else answer["next"]), None


@contextmanager
def _stopped_after(seconds: float | None, stop: Callable[[], object]) -> Iterator[None]:
    if seconds is None:
        yield
        return
    timer = threading.Timer(seconds, stop)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def _last(
    setup: Setup, client: Client, topics: tuple[str, ...], number: int, end: int | None
) -> tuple[Iterable[Record], int]:
    """The last messages of these topics before `end`, and where to go on.

    Their positions are not dense, so it looks back further and further until there are enough.
    """
    fits = matcher(topics)
    found = [topic for topic in entries(setup, client, TOPICS) if fits(topic["name"])]
    after = max((topic["last"] + 1 for topic in found), default=1)
    after = after if end is None else min(after, end)
    earliest = min((topic["first"] for topic in found), default=1)
    width = number
    while number:
        begin = max(earliest, after - width)
        kept = _read_span(client, topics, begin, after, number)
        if len(kept) == number or begin == earliest:
            return kept, after
        width *= 4
    return (), after


def _read_span(
    client: Client, topics: tuple[str, ...], begin: int, after: int, number: int
) -> deque[Record]:
    if begin >= after:
        return deque()
    with client.read(*topics, start=begin, until=after) as reader:
        return deque(reader, maxlen=number)
