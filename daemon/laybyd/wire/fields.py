"""Checks of single fields, so that each field of a request is one line of a table.

Owns the types of the protocol (int, name, text, bytes, id, ranges ...) and their bounds. Must
never know operations. A check takes a decoded value and returns it as the core wants it, or
raises FieldError; integers are below 2^53 already (laybyd.wire.packed sees to that).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from laybyd.wire import names
from laybyd.wire.limits import ID_BYTES, INT_END, PATTERNS

Check = Callable[[object], Any]


class FieldError(ValueError):
    """`text` says what the field must be; `code` is the refusal code."""

    def __init__(self, text: str, code: str = "bad_request") -> None:
        super().__init__(text)
        self.text = text
        self.code = code

    def inside(self, key: str) -> FieldError:
        return FieldError(f"{key}: {self.text}", self.code)


class Fields:
    """The fields of one map. Unknown keys are ignored, or refused when `strict`."""

    def __init__(
        self, must: Mapping[str, Check], may: Mapping[str, Check], strict: bool = False
    ) -> None:
        self._checks = {**must, **may}
        self._must = must.keys()
        self._strict = strict

    def read(self, given: Mapping[str, object]) -> dict[str, Any]:
        """The known fields that are there, checked. Raises FieldError."""
        fields: dict[str, Any] = {}
        for key, value in given.items():
            check = self._checks.get(key)
            if check is None:
                if self._strict:
                    raise FieldError(self._unknown(key))
                continue
            try:
                fields[key] = check(value)
            except FieldError as error:
                raise error.inside(key) from None
        for key in self._must:
            if key not in fields:
                raise FieldError(f"{key} is missing")
        return fields

    def _unknown(self, key: str) -> str:
        close = get_close_matches(key, self._checks, n=1)
        return f"unknown key {key[:40]!r}" + (f", did you mean {close[0]}?" if close else "")


# ---- plain values -----------------------------------------------------------------------------


def integer(low: int = 0, high: int = INT_END - 1) -> Check:
    def check(value: object) -> int:
        if type(value) is not int or not low <= value <= high:
            raise FieldError(f"must be an integer from {low} to {high}, got {_shown(value)}")
        return value

    return check


def flag(value: object) -> bool:
    if type(value) is not bool:
        raise FieldError(f"must be true or false, got {_shown(value)}")
    return value


def blob(low: int = 0, high: int = INT_END) -> Check:
    def check(value: object) -> bytes:
        if type(value) is not bytes:
            raise FieldError(f"must be bin (bytes, not text), got {_shown(value)}")
        if not low <= len(value) <= high:
            raise FieldError(f"must have {low} to {high} bytes, has {len(value)}")
        return value

    return check


token = blob(1, ID_BYTES)
"""A lease, session or producer id."""


def as_text(value: object) -> str:
    if type(value) is str:
        return value
    if type(value) is bytes:
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise FieldError("must be UTF-8") from None
    raise FieldError(f"must be a string, got {_shown(value)}")


def text(max_bytes: int) -> Check:
    """Text of at most `max_bytes` of UTF-8."""

    def check(value: object) -> str:
        given = as_text(value)
        if (size := len(given.encode())) > max_bytes:
            raise FieldError(f"must have at most {max_bytes} bytes, has {size}")
        return given

    return check


def cut_text(max_bytes: int) -> Check:
    """Text; what is beyond `max_bytes` of UTF-8 is cut off."""

    def check(value: object) -> str:
        whole = as_text(value)
        if len(whole) * 4 <= max_bytes:
            return whole
        return clipped(whole, max_bytes)

    return check


def clipped(whole: str, max_bytes: int) -> str:
    """As much of the text as fits, whole characters."""
    return whole.encode()[:max_bytes].decode(errors="ignore")


def word(*words: str) -> Check:
    def check(value: object) -> str:
        if (given := as_text(value)) not in words:
            raise FieldError(f"must be one of {', '.join(words)}, got {_shown(given)}")
        return given

    return check


def name(value: object) -> str:
    given = as_text(value)
    if problem := names.why_not_name(given):
        raise FieldError(f"{problem}, got {_shown(given)}", "bad_name")
    return given


def pattern(value: object) -> str:
    given = as_text(value)
    if problem := names.why_not_pattern(given):
        raise FieldError(f"{problem}, got {_shown(given)}", "bad_name")
    return given


def start(value: object) -> tuple[str | int | None, int | None]:
    """Where to begin: (a word or a position, None) or (None, a time in microseconds)."""
    if type(value) is int and value >= 1:
        return value, None
    if value in ("earliest", "latest"):
        return str(value), None
    if type(value) is dict and type(at_us := value.get("time_us")) is int and at_us >= 0:
        return None, at_us
    raise FieldError(
        'must be "earliest", "latest", a position from 1 or {"time_us": microseconds}, '
        f"got {_shown(value)}"
    )


# ---- lists and maps ---------------------------------------------------------------------------


def each(check: Check, low: int, high: int) -> Check:
    """An array of `low` to `high` such values, as a tuple."""

    def check_all(value: object) -> tuple[Any, ...]:
        if type(value) is not list:
            raise FieldError(f"must be an array, got {_shown(value)}")
        if not low <= len(value) <= high:
            raise FieldError(f"must have {low} to {high} entries, has {len(value)}")
        return tuple(check(entry) for entry in value)

    return check_all


patterns = each(pattern, 1, PATTERNS)


def within(fields: Fields, make: Callable[[dict[str, Any]], Any]) -> Check:
    """A map with fields of its own."""

    def check(value: object) -> Any:
        if type(value) is not dict:
            raise FieldError(f"must be a map, got {_shown(value)}")
        return make(fields.read(value))

    return check


def ranges(max_pairs: int) -> Check:
    """[from, to, from, to, ...], ascending, not overlapping, as a tuple of pairs."""

    def check(value: object) -> tuple[tuple[int, int], ...]:
        if type(value) is not list or not value or len(value) % 2:
            raise FieldError("must be an array [from, to, from, to, ...] of at least one pair")
        if len(value) > 2 * max_pairs:
            raise FieldError(f"must have at most {max_pairs} pairs, has {len(value) // 2}")
        pairs = tuple(zip(value[::2], value[1::2], strict=True))
        last = 0
        for first, to in pairs:
            if type(first) is not int or type(to) is not int or not last < first <= to:
                raise FieldError(
                    "must hold positions from 1, from <= to, pairs ascending and not overlapping, "
                    f"got {_shown(first)}, {_shown(to)} after {last}"
                )
            last = to
        return pairs

    return check


def row(*checks: Check) -> Check:
    """An array of exactly these, as a tuple."""

    def check(value: object) -> tuple[Any, ...]:
        if type(value) is not list or len(value) != len(checks):
            raise FieldError(f"must be an array of {len(checks)}, got {_shown(value)}")
        return tuple(one(entry) for one, entry in zip(checks, value, strict=True))

    return check


def _shown(value: object) -> str:
    """A stranger's value in a message of ours: short, and without control characters."""
    if isinstance(value, str | bytes | int):
        shown = ascii(value if isinstance(value, int) else value[:40])
        return shown if len(shown) <= 60 else shown[:60] + "..."
    return {list: "an array", dict: "a map", float: "a float"}.get(type(value), "nil")
