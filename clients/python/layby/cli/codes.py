"""`layby errors`: what each code means and what to do about it.

Owns the reading of the protocol's list, which ships with the package, and of the client library's
own codes. Must never know how a client reacts.
"""

from __future__ import annotations

import json
from difflib import get_close_matches
from importlib import resources
from typing import Any

import click

from layby.cli.app import Setup, Verb
from layby.cli.trouble import Misused

COLUMNS = ("code", "fault", "retry", "means")


def known() -> list[dict[str, Any]]:
    """The protocol's closed list, in its order, then what only a client can notice."""
    text = resources.files("layby").joinpath("codes.json").read_text("utf-8")
    codes: list[dict[str, Any]] = json.loads(text)["codes"]
    return codes + _of_the_library()


def _of_the_library() -> list[dict[str, Any]]:
    from layby.errors import LaybyError, Refused

    return [
        {
            "code": kind.code,
            "fault": "client",
            "retryable": kind.retryable,
            "means": kind.__doc__ or "",
            "advice": kind.hint,
        }
        for kind in LaybyError.__subclasses__()
        if kind is not Refused
    ]


@click.command(cls=Verb)
@click.argument("code", required=False)
@click.pass_obj
def errors(setup: Setup, code: str | None) -> None:
    """List the codes of errors, or explain one CODE."""
    codes = known()
    if code is None:
        rows = [(one["code"], one["fault"], _retry(one), one["means"]) for one in codes]
        setup.out.listing(codes, COLUMNS, rows, "")
        return
    one = _find(codes, code)
    setup.out.facts(one, [(name, _shown(value)) for name, value in one.items()])


def _find(codes: list[dict[str, Any]], code: str) -> dict[str, Any]:
    names = [one["code"] for one in codes]
    if code not in names:
        near = get_close_matches(code, names, n=1)
        raise Misused(f"no code {code!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    return codes[names.index(code)]


def _retry(one: dict[str, Any]) -> str:
    return "yes" if one["retryable"] else "no"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
