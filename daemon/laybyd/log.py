"""How the daemon talks to whoever runs it: short lines to a terminal, JSON to everything else.

Owns the form of a log line and the restraint of repeated ones. Must never know the bytes of a
message: names, codes, positions and counts go into a log, payloads and keys never do.

Facts go along as `extra=facts(event, key=value)`, so that a line is a sentence to people and
fields to machines.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

from laybyd.clock import monotonic_us

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def facts(event: str, **fields: object) -> dict[str, Any]:
    """The `extra=` of a log call: a stable word for what happened, and what is known of it."""
    return {"event": event, "fields": fields}


def printable(text: str) -> str:
    """The text without anything a terminal would obey: strangers choose names and reasons."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _fields(record: logging.LogRecord) -> Mapping[str, object]:
    return getattr(record, "fields", {})


class TextFormatter(logging.Formatter):
    """`12:30:01 warning store is nearly full used=9GiB`, a traceback below it."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created).astimezone()
        parts = [f"{at:%H:%M:%S}", record.levelname.lower(), printable(record.getMessage())]
        parts += [f"{key}={printable(str(value))}" for key, value in _fields(record).items()]
        line = " ".join(parts)
        if not record.exc_info:
            return line
        trace = self.formatException(record.exc_info).splitlines()
        return "\n".join([line, *("  " + printable(row) for row in trace)])


class JsonFormatter(logging.Formatter):
    """One object per line; bytes in the fields become hex."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, object] = {
            "time": at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": getattr(record, "event", "log"),
            "text": record.getMessage(),
        }
        line |= {key: value for key, value in _fields(record).items() if key not in line}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=_plain)


def _plain(value: object) -> str:
    return value.hex() if isinstance(value, bytes | bytearray | memoryview) else str(value)


def set_up(level: str = "info", form: str = "auto", stream: TextIO | None = None) -> None:
    """Send everything of the process to `stream` (stderr), in place of what was set before."""
    out = sys.stderr if stream is None else stream
    text = out.isatty() if form == "auto" else form == "text"
    handler = logging.StreamHandler(out)
    handler.setFormatter(TextFormatter() if text else JsonFormatter())
    logging.basicConfig(level=LEVELS[level], handlers=[handler], force=True)
    logging.captureWarnings(capture=True)


class Throttle:
    """At most one line per kind and interval; the next one says how many were left out.

    A peer that sends rubbish a million times costs a line every `every_us`, and no memory beyond
    `kinds_max` kinds. Not for use by two threads at once: each thread keeps its own.
    """

    def __init__(
        self,
        logger: logging.Logger,
        *,
        every_us: int = 10_000_000,
        kinds_max: int = 1_024,
        now_us: Callable[[], int] = monotonic_us,
    ) -> None:
        self._logger = logger
        self._every_us = every_us
        self._kinds_max = kinds_max
        self._now_us = now_us
        self._kinds: dict[str, tuple[int, int]] = {}

    def log(self, level: int, kind: str, text: str, **fields: object) -> None:
        """Log `text` with the fields, unless a line of this kind was logged lately."""
        now = self._now_us()
        last, left_out = self._kinds.get(kind, (now - self._every_us, 0))
        if now - last < self._every_us:
            self._kinds[kind] = (last, left_out + 1)
            return
        if len(self._kinds) >= self._kinds_max:
            self._kinds.clear()
        self._kinds[kind] = (now, 0)
        if left_out:
            fields["left_out"] = left_out
        self._logger.log(level, text, extra=facts(kind, **fields))
