"""One consumer of the demo: reads lines, trips over poison, notes everything that it does.

Owns nothing but its record: what it was given, when, under which grant, and what came of it, each
written before the broker hears of it. Run as `python -m loadtests.demo.consumer URL NAME RECORD`.
"""

from __future__ import annotations

import logging
import re
import signal
import sys
from collections import Counter
from pathlib import Path

import layby
from loadtests.demo.closing import GROUP
from loadtests.demo.lines import identity
from loadtests.demo.records import Record, taped

WORD = re.compile(rb"[A-Za-z]{3,}")


class Poison(Exception):
    """The line that no handler can work on."""


class Indexer:
    """The application: counts the words of each topic."""

    def __init__(self) -> None:
        self.words: dict[str, Counter[bytes]] = {}

    def handle(self, message: layby.Message) -> None:
        if message.headers and "poison" in message.headers:
            raise Poison("cannot make sense of this line")
        self.words.setdefault(message.topic, Counter()).update(WORD.findall(message.data))


def consume(client: layby.Client, record: Record) -> None:
    indexer = Indexer()
    with client.consume("*", group=GROUP) as consumer:
        record.note("joined")
        for message in consumer:
            record.note(
                "begun",
                position=message.position,
                message=identity(message.key, message.data),
                boot=message.boot,
                grant=message.grant,
                lane=message.lane,
                deliveries=message.deliveries,
                attempts=message.attempts,
            )
            with message:
                try:
                    indexer.handle(message)
                except Poison:
                    record.note("fail", position=message.position)
                    raise
                record.note("ack", position=message.position)


def main(url: str, name: str, record: str) -> None:
    logging.basicConfig(level=logging.ERROR)
    logging.getLogger("layby").setLevel(logging.CRITICAL)
    with Record(Path(record)) as written, taped(url, name, Path(record)) as client:
        signal.signal(signal.SIGTERM, lambda *_: client.stop())
        consume(client, written)
        written.note("left")


if __name__ == "__main__":
    main(*sys.argv[1:])
