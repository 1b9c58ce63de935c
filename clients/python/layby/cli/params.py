"""Types of options: durations, sizes, times, positions, headers.

Owns how a word on the command line becomes a value, and the sentence when it does not. Must never
know which verb asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click

from layby._given import DELAY_MAX_MS
from layby.cli import text

_RANGE = re.compile(r"([0-9]+)(?:-([0-9]+))?")


class Parsed(click.ParamType[Any]):
    """A type made of a function that raises ValueError with a sentence."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _positive_duration(word: str) -> float:
    seconds = text.parse_duration(word)
    if seconds <= 0:
        raise ValueError("must be longer than nothing")
    return seconds


def _defer_delay(word: str) -> float:
    seconds = text.parse_duration(word)
    if seconds * 1e3 > DELAY_MAX_MS:
        raise ValueError("must be 366 days at most")
    return seconds


def _when(word: str) -> str | int | datetime:
    return text.parse_when(word, datetime.now(UTC))


def _from(word: str) -> str | int | datetime | tuple[str, int]:
    """As `_when`, and -N: the last N messages."""
    if word.startswith("-") and word[1:].isdigit():
        return ("last", int(word[1:]))
    return _when(word)


def _positions(word: str) -> tuple[int, int]:
    """`17`, or `10-20` with both ends."""
    match = _RANGE.fullmatch(word)
    if match is None:
        raise ValueError(f"{word!r} is not a position, nor a range like 10-20")
    pair = int(match.group(1)), int(match.group(2) or match.group(1))
    if pair[0] > pair[1] or pair[0] < 1 or pair[1] >= 1 << 53:
        raise ValueError(f"{word!r} is not a range of positions")
    return pair


def _header(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not (name and equals):
        raise ValueError(f"{word!r} is not a header; write it like name=value")
    if any("\ud800" <= char <= "\udfff" for char in word):
        raise ValueError(f"{word!a} is not valid UTF-8; put such bytes into the data")
    return name, value


DURATION = Parsed("duration", _positive_duration)
DELAY = Parsed("duration", text.parse_duration)
DEFER_DELAY = Parsed("duration", _defer_delay)
SIZE = Parsed("size", text.parse_size)
WHEN = Parsed("when", _when)
FROM = Parsed("from", _from)
POSITIONS = Parsed("position", _positions)
HEADER = Parsed("header", _header)
