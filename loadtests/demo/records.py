"""What each process of the demo writes down, line by line, while it acts.

Owns the form of the records: append-only files of JSON lines, each written by one call, so that a
kill -9 loses nothing that was acted on. Must never know what the lines mean. Beside each record
lies a history of what went over the process's socket, in the form that the auditor reads.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import layby
from tests.audit.history import Appender
from tests.audit.library_tape import tape_client
from tests.audit.tape import LiveTape, now_us

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HISTORY = ".history"


@contextmanager
def taped(url: str, name: str, record: Path) -> Iterator[layby.Client]:
    """A client whose history is written next to its record."""
    with (
        Appender(record.with_suffix(HISTORY)) as history,
        layby.connect(url, name=name) as client,
    ):
        tape_client(client, LiveTape(name, history))
        yield client


class Record:
    """One process's own account. Any thread may note."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, what: str, **fields: object) -> None:
        line = json.dumps({"what": what, "at": now_us()} | fields, separators=(",", ":"))
        os.write(self._file, line.encode() + b"\n")

    def close(self) -> None:
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Follower:
    """Reads the records of a folder as they grow; a line that is not whole yet waits."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[str, int] = {}

    def news(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """(who wrote it, what) of every line since the last call."""
        for path in sorted(self._folder.glob("*.jsonl")):
            with path.open("rb") as file:
                file.seek(self._read.get(path.stem, 0))
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self._read[path.stem] = self._read.get(path.stem, 0) + len(line)
                    yield path.stem, json.loads(line)
