"""What went wrong, for people and for programs, and the exit code that says so.

Owns the exit codes and the shape of an error on stderr. Must never know a verb.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from typing import Any

import click

from layby.cli.text import harmless, harmless_json

DONE = 0
REFUSED = 1
USAGE = 2
PARTLY = 3
FEWER = 4
UNREACHABLE = 69
TRY_LATER = 75
INTERRUPTED = 130

LATER_CODES = frozenset({"timed_out", "outcome_unknown", "store_full", "busy", "quiescing"})


class Trouble(Exception):
    """An end that is not success; each field is told to the user."""

    def __init__(
        self,
        code: str,
        text: str,
        *,
        hint: str = "",
        status: int = REFUSED,
        retryable: bool = False,
    ) -> None:
        super().__init__(text)
        self.code = code
        self.hint = hint
        self.status = status
        self.retryable = retryable


class Misused(click.UsageError):
    """A wrong combination of words, found after parsing."""


def status_of(error: Exception) -> int:
    """The exit code for an error of ours or of the client library."""
    if isinstance(error, Trouble):
        return error.status
    code = getattr(error, "code", "")
    if code == "unreachable":
        return UNREACHABLE
    return TRY_LATER if code in LATER_CODES else REFUSED


def show(
    code: str, text: str, *, retryable: bool = False, hint: str = "", as_json: bool = False
) -> None:
    """One error on stderr: an object for programs, a sentence and a hint for people."""
    if as_json:
        error = {"code": code, "text": text, "retryable": retryable, "hint": hint}
        line = harmless_json(json.dumps(error, ensure_ascii=False))
    else:
        line = "layby: " + harmless(text, keep="\n")
        if hint:
            line += f"\n  {harmless(hint)}"
    print(line, file=sys.stderr, flush=True)


def show_error(error: Exception, as_json: bool) -> None:
    show(
        getattr(error, "code", "") or "internal",
        str(error) or type(error).__name__,
        retryable=bool(getattr(error, "retryable", False)),
        hint=getattr(error, "hint", "") or "",
        as_json=as_json,
    )


class _Library(logging.Handler):
    """What the client library has to say, in the form of our own errors."""

    def __init__(self, as_json: bool) -> None:
        super().__init__(logging.WARNING)
        self._as_json = as_json

    def emit(self, record: logging.LogRecord) -> None:
        show(record.levelname.lower(), self.format(record), as_json=self._as_json)


def listen_to_the_library(as_json: bool) -> None:
    log = logging.getLogger("layby")
    log.addHandler(_Library(as_json))
    log.propagate = False


def guarded(call: Callable[[], Any], as_json: bool) -> int:
    """Run a command; whatever it raises becomes words and a code, never a traceback of ours."""
    from layby.errors import LaybyError

    try:
        status = call()
    except click.Abort as abort:
        return _aborted(abort, as_json)
    except click.ClickException as misuse:
        return _misused(misuse, as_json)
    except (Trouble, LaybyError) as error:
        show_error(error, as_json)
        return status_of(error)
    except OSError as error:
        show("system", _of_the_system(error), as_json=as_json)
        return REFUSED
    return status if isinstance(status, int) else DONE


def _aborted(abort: click.Abort, as_json: bool) -> int:
    if isinstance(abort.__cause__, KeyboardInterrupt):
        return INTERRUPTED
    show("aborted", "nothing was done", as_json=as_json)
    return REFUSED


def _misused(misuse: click.ClickException, as_json: bool) -> int:
    if as_json:
        hint = _usage_hint(misuse)
        show("usage", misuse.format_message(), hint=hint, as_json=True)
    else:
        misuse.show()
    return USAGE


def _usage_hint(misuse: click.ClickException) -> str:
    ctx = getattr(misuse, "ctx", None)
    return f"{ctx.command_path} --help" if ctx is not None else "layby --help"


def _of_the_system(error: OSError) -> str:
    name = f"{error.filename}: " if error.filename else ""
    return f"{name}{error.strerror or error}"
