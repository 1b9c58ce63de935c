"""`layby push`: one message, or one for each line.

Owns where the bytes come from and what is told of their confirms. Must never know blocks or
sequences.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import click

from layby.cli import trouble
from layby.cli.app import Setup, Verb
from layby.cli.lines import lines_of
from layby.cli.params import HEADER
from layby.cli.text import plural
from layby.cli.trouble import Misused, Trouble
from layby.errors import LaybyError, PushFailed, TooLarge

if TYPE_CHECKING:
    from layby.producer import Producer

Extras = dict[str, Any]

TIMEOUT = 30.0


@click.command(cls=Verb, short_help="Push a message, or each line of a file.")
@click.argument("topic")
@click.argument("data", required=False, metavar="[DATA | -]")
@click.option("--lines", metavar="FILE", help="Push each line of FILE (- is stdin) as a message.")
@click.option("--key", help="What the message is about; the same for every line.")
@click.option(
    "-H", "--header", "headers", type=HEADER, multiple=True, metavar="NAME=VALUE", help="A header."
)
@click.pass_obj
def push(
    setup: Setup,
    topic: str,
    data: str | None,
    lines: str | None,
    key: str | None,
    headers: tuple[tuple[str, str], ...],
) -> int:
    """Push DATA to TOPIC and wait until it is on the broker's disk.

    DATA is one message; - reads one message from stdin, byte for byte. With --lines each line is a
    message: LF or CRLF is cut, empty lines are kept. Prints the position of a single message.
    """
    if (data is None) == (lines is None):
        raise Misused("say what to push: DATA, - for stdin, or --lines FILE")
    extras: Extras = {
        "key": os.fsencode(key) if key is not None else None,
        "headers": dict(headers) or None,
    }
    if lines is not None:
        return _push_lines(setup, topic, lines, extras)
    assert data is not None
    return _push_one(setup, topic, _bytes_of(setup, data), extras)


def _bytes_of(setup: Setup, word: str) -> bytes:
    if word != "-":
        return os.fsencode(word)
    _tell_who_waits(setup)
    return sys.stdin.buffer.read()


def _tell_who_waits(setup: Setup) -> None:
    if sys.stdin.isatty():
        setup.out.talk("reading from the terminal; end with Ctrl-D")


def _push_one(setup: Setup, topic: str, data: bytes, extras: Extras) -> int:
    with setup.connect() as client:
        position = client.push(topic, data, timeout=setup.timeout or TIMEOUT, **extras)
    if setup.out.json:
        setup.out.record({"topic": topic, "messages": 1, "first": position})
    else:
        setup.out.line(str(position))
    return trouble.DONE


def _push_lines(setup: Setup, topic: str, source: str, extras: Extras) -> int:
    fd = sys.stdin.fileno() if source == "-" else os.open(source, os.O_RDONLY)
    if source == "-":
        _tell_who_waits(setup)
    try:
        with setup.connect() as client:
            producer = client.producer(topic, timeout=setup.timeout or TIMEOUT)
            sender = Sender(producer, extras)
            error = sender.send_all(lines_of(fd))
    finally:
        if source != "-":
            os.close(fd)
    return _told(setup, topic, sender, error)


def _told(setup: Setup, topic: str, sender: Sender, error: Exception | None) -> int:
    confirmed = sender.confirmed
    if confirmed or error is None:
        setup.out.did(
            {"topic": topic, "messages": confirmed, "first": sender.first},
            f"{plural(confirmed, 'message')} confirmed",
        )
    if error is None:
        return trouble.DONE
    trouble.show_error(error, setup.out.json)
    status = trouble.status_of(error)
    return trouble.PARTLY if confirmed and status != trouble.INTERRUPTED else status


class Sender:
    """Lines on their way, and the account of them: sent, not confirmed, the first position."""

    def __init__(self, producer: Producer, extras: Extras) -> None:
        self._producer = producer
        self._extras = extras
        self._plain = not any(extras.values())
        self._pending: deque[Future[int]] = deque()
        self._sent = 0
        self._failed = 0
        self.first: int | None = None

    @property
    def confirmed(self) -> int:
        return self._sent - self._failed

    def send_all(self, lines: Iterator[list[bytes]]) -> Exception | None:
        """Until the lines end or one cannot be pushed; what stood in the way, if anything did."""
        error: Exception | None = None
        try:
            for some in lines:
                self._send(some)
                if self._has_failed():
                    break
        except (LaybyError, Trouble) as problem:
            error = problem
        except KeyboardInterrupt:
            error = Trouble("interrupted", "stopped", status=trouble.INTERRUPTED)
        return self._finish() or error

    def _send(self, lines: list[bytes]) -> None:
        if not self._plain:
            self._send_each(lines)
            return
        try:
            self._pending += self._producer.send_many(lines)
        except TooLarge:
            self._send_each(lines)
            raise
        self._sent += len(lines)

    def _send_each(self, lines: list[bytes]) -> None:
        """One by one, for what only single messages have, and to find the line that is too long."""
        for line in lines:
            try:
                future = self._producer.send(line, **self._extras)
            except TooLarge as error:
                raise Trouble("too_large", f"line {self._sent + 1}: {error}") from None
            if not self._pending or self._pending[-1] is not future:
                self._pending.append(future)
            self._sent += 1

    def _has_failed(self) -> bool:
        """Forget what is confirmed; whether anything has failed."""
        while self._pending and self._pending[0].done():
            future = self._pending.popleft()
            if future.exception() is not None:
                return True
            if self.first is None:
                self.first = future.result()
        return False

    def _finish(self) -> Exception | None:
        try:
            self._producer.close()
        except PushFailed as error:
            self._failed = sum(len(block) for block in error.failed)
            return error.failed[0].error
        finally:
            self._learn_first()
        return None

    def _learn_first(self) -> None:
        """All futures are decided by now; the I/O thread may still be telling them so."""
        while self.first is None and self._pending:
            future = self._pending.popleft()
            if future.exception(timeout=TIMEOUT) is None:
                self.first = future.result()
