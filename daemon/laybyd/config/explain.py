"""Turns what pydantic found into sentences: where it was written, which setting, what to write.

Owns those sentences and the "did you mean". Must never know the settings by name.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic_core import ErrorDetails

    from laybyd.config.source import Source

_SENTENCES = {
    "bool_type": "write true or false",
    "int_type": "write a whole number like 1000, without quotes, units or leading zeros",
    "string_type": "write text",
    "is_instance_of": "write a path",
    "tuple_type": "write a list, as in [a, b]",
    "model_type": "this is a section: write its keys below it, indented",
    "literal_error": "write one of {expected}",
    "too_short": "the list is empty",
    "too_long": "the list is too long",
    "greater_than_equal": "too small; write {ge} or more",
    "less_than_equal": "too large; write {le} or less",
}


_PLACE = re.compile(r"(.*?):(\d+): ")


def by_place(problem: str) -> tuple[str, int]:
    """Sorts by file and line; what was not written in a file keeps its order at the end."""
    match = _PLACE.match(problem)
    return (match[1], int(match[2])) if match else ("\uffff", 0)


def explain(error: ValidationError, source: Source, model: type[BaseModel]) -> list[str]:
    return [_line(one, source, model) for one in error.errors(include_url=False)]


def _line(one: ErrorDetails, source: Source, model: type[BaseModel]) -> str:
    loc = one["loc"]
    name = ".".join(str(part) for part in loc)
    if one["type"] == "extra_forbidden":
        text = "unknown setting" + _did_you_mean(name, list(_names(model)))
    elif one["input"] is None:
        text = "has no value"
    else:
        text = _sentence(one)
    return f"{source.place(loc)}: {name}: {text}"


def _sentence(one: ErrorDetails) -> str:
    context: dict[str, Any] = one.get("ctx", {})
    if one["type"] == "value_error":
        return str(context["error"])
    if one["type"] in _SENTENCES:
        return _SENTENCES[one["type"]].format(**context)
    return one["msg"].lower()


def _names(model: type[BaseModel], above: str = "") -> Iterator[str]:
    """Every setting by its dotted name."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _names(kind, f"{above}{name}.")
        else:
            yield above + name


def _did_you_mean(name: str, known: list[str]) -> str:
    section, _, last = name.rpartition(".")
    sections = sorted({one.partition(".")[0] for one in known})
    siblings = [one for one in known if one.rpartition(".")[0] == section] if section else sections
    if name in known:
        return f"; write {last}: indented below {section}:"
    namesakes = [one for one in known if one.rpartition(".")[2] == last]
    near = get_close_matches(name, siblings) or namesakes or get_close_matches(name, known)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; there are {', '.join(siblings or sections)}"
