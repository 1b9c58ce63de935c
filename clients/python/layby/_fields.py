"""Single fields of an answer, checked where they are read.

Owns the types an answer's fields may have: whatever a broker sends, it ends as Damaged here and
not as a TypeError in a user's hands. Must never know which answer a field is of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from layby.errors import Damaged

NUMBER_END = 1 << 53
TOKEN_BYTES = 16

Fields = Mapping[str, Any]


def number(fields: Fields, key: str, default: int | None = None, low: int = 0) -> int:
    value = fields.get(key, default)
    if type(value) is int and low <= value < NUMBER_END:
        return value
    raise _bad(key, "a number", value)


def numbers(fields: Fields, key: str, length: int, low: int = 0) -> Sequence[int]:
    """So many of them."""
    value = fields.get(key)
    if type(value) is list and len(value) == length and _all_numbers(value, low):
        return value
    raise _bad(key, f"{length} numbers", value)


def ranges(fields: Fields, key: str = "ranges") -> Sequence[int]:
    """[from, to, from, to, ...]"""
    value = fields.get(key)
    if type(value) is list and value and len(value) % 2 == 0 and _all_numbers(value, 1):
        return value
    raise _bad(key, "ranges", value)


def text(fields: Fields, key: str) -> str:
    value = fields.get(key)
    if type(value) is str:
        return value
    raise _bad(key, "text", value)


def token(fields: Fields, key: str) -> bytes:
    value = fields.get(key)
    if type(value) is bytes and 0 < len(value) <= TOKEN_BYTES:
        return value
    raise _bad(key, "an id", value)


def entries(fields: Fields, key: str) -> Sequence[Fields]:
    """A list of maps; missing or nil is none."""
    return maps(fields.get(key) or (), key)


def maps(value: object, key: str) -> Sequence[Fields]:
    if isinstance(value, list | tuple) and all(type(entry) is dict for entry in value):
        return value
    raise _bad(key, "a list of maps", value)


def _all_numbers(values: Iterable[object], low: int) -> bool:
    return all(type(value) is int and low <= value < NUMBER_END for value in values)


def _bad(key: str, wanted: str, value: object) -> Damaged:
    return Damaged(f"{key} in an answer is not {wanted}: {ascii(value)[:60]}")
