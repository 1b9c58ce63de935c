"""Where words go: data to stdout, talk to stderr, JSON when asked.

Owns the two streams. Must never know a verb. A pipe that was closed by its reader is no error:
`BrokenPipeError` passes through and ends the program quietly.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from layby.cli import table
from layby.cli.table import Cell
from layby.cli.text import harmless, harmless_json


def json_line(record: Mapping[str, Any]) -> str:
    text = json.dumps(record, ensure_ascii=False, separators=(", ", ": "), default=_for_json)
    return harmless_json(text)


def _for_json(value: object) -> object:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def on_terminal() -> bool:
    return sys.stdout.isatty()


def colourful() -> bool:
    return on_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class Out:
    """Prints for one run of the program."""

    def __init__(self, as_json: bool = False) -> None:
        self.json = as_json

    def record(self, record: Mapping[str, Any]) -> None:
        print(json_line(record), flush=True)

    def line(self, text: str) -> None:
        print(text, flush=True)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        if on_terminal() and (fancy := table.fancy(columns, rows)) is not None:
            from rich.console import Console

            Console(no_color=not colourful(), highlight=False).print(fancy)
        else:
            self.line(table.plain(columns, rows))

    def listing(
        self,
        records: Sequence[Mapping[str, Any]],
        columns: Sequence[str],
        rows: Sequence[Sequence[Cell]],
        empty: str,
    ) -> None:
        """A list of things: a line of JSON each, or one table, or a word on stderr."""
        if self.json:
            for record in records:
                self.record(record)
        elif rows:
            self.table(columns, rows)
        else:
            self.talk(empty)

    def facts(self, record: Mapping[str, Any], pairs: Sequence[tuple[str, Cell]]) -> None:
        """One thing: its JSON, or names and values."""
        if self.json:
            self.record(record)
        else:
            self.line(table.facts(pairs))

    def did(self, record: Mapping[str, Any], text: str) -> None:
        """Something that was done: its JSON, or a word about it."""
        if self.json:
            self.record(record)
        else:
            self.talk(text)

    def talk(self, text: str) -> None:
        """Something a person should know; never data, and silent for programs."""
        if not self.json:
            print(harmless(text, keep="\n"), file=sys.stderr, flush=True)
