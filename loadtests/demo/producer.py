"""One producer: sends what is there at once, then lines at an even pace whatever the broker does.

Owns the pace: an open loop, so a broker that stalls is not spared the lines of that time; and the
record of what is confirmed. Run as `python -m loadtests.demo.producer URL LINES PERIOD_US RECORD`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from queue import Empty, Queue
from typing import TYPE_CHECKING, Any

import msgpack

from loadtests.demo.lines import HISTORY_SHARE, Line
from loadtests.demo.records import Record, taped
from tests.audit.tape import now_us

if TYPE_CHECKING:
    from collections.abc import Sequence

    import layby


PAUSE_US = 3_000_000
"""Between the start and the first live line, for working off what was there."""


def write_lines(path: Path, lines: Sequence[Line]) -> None:
    path.write_bytes(msgpack.packb(lines))


def read_lines(path: Path) -> list[Line]:
    return [Line(*line) for line in msgpack.unpackb(path.read_bytes())]


class Confirms:
    """Which lines are in which block, and notes of what became of the blocks."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._lines: dict[Any, list[int]] = {}
        self._done: Queue[Any] = Queue()

    def sent(self, line: int, block: Any) -> None:
        if block not in self._lines:
            self._lines[block] = []
            block.add_done_callback(self._done.put)
        self._lines[block].append(line)

    def note_until(self, due_us: int) -> None:
        """Note what is confirmed, until it is time. By the thread that sends: so a block's last
        line is in its list before it is noted."""
        while True:
            left_us = due_us - now_us()
            try:
                self._note(self._done.get(timeout=max(0, left_us) / 1e6))
            except Empty:
                if left_us <= 0:
                    return

    def note_all(self) -> None:
        """At the end: wait for the blocks that are left."""
        for block in list(self._lines):
            self._note(block)

    def _note(self, block: Any) -> None:
        lines = self._lines.pop(block)
        if error := block.exception():
            self._record.note("not confirmed", lines=lines, error=str(error))
        else:
            self._record.note("confirmed", lines=lines, first=block.result())


def send_all(client: layby.Client, lines: Sequence[Line], period_us: int, record: Record) -> None:
    producers = {topic: client.producer(topic) for topic in {line.topic for line in lines}}
    confirms = Confirms(record)
    history = int(len(lines) * HISTORY_SHARE)
    live_us = now_us() + PAUSE_US
    record.note("start", live_us=live_us, period_us=period_us, history=history)
    for i, line in enumerate(lines):
        confirms.note_until(live_us + (i - history) * period_us if i >= history else 0)
        headers = {"poison": "yes"} if line.poison else None
        confirms.sent(i, producers[line.topic].send(line.data, key=line.key, headers=headers))
    for producer in producers.values():
        producer.close()
    confirms.note_all()
    record.note("end")


def main(url: str, lines: str, period_us: str, record: str) -> None:
    with Record(Path(record)) as written, taped(url, "producer", Path(record)) as client:
        send_all(client, read_lines(Path(lines)), int(period_us), written)


if __name__ == "__main__":
    main(*sys.argv[1:])
