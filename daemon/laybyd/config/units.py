"""Numbers with units, as people write them: `30s`, `10GiB`, `5%`.

Owns the spelling of durations, sizes and shares. Must never know which setting is read. Each
reader takes what YAML made of the text and raises ValueError with a sentence that says how to
write it.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

DURATIONS = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
}
SIZES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
PERCENT = {"%": 10_000}
WHOLE_PPM = 1_000_000

_QUANTITY = re.compile(r"(\d+(?:\.\d+)?) ?([A-Za-z%]+)", re.ASCII)


class Amount(NamedTuple):
    """So many bytes, or a share of something whose size is known later."""

    bytes: int = 0
    ppm: int = 0

    def of(self, whole: int) -> int:
        return self.bytes + whole * self.ppm // WHOLE_PPM


def duration_us(value: object) -> int:
    return _read(value, DURATIONS, "a duration like 30s, 5ms, 10m or 1h")


def size_bytes(value: object) -> int:
    return _read(value, SIZES, "a size like 64KiB, 256MiB or 10GiB")


def share_ppm(value: object) -> int:
    return _read(value, PERCENT, "a share like 5%")


def amount(value: object) -> Amount:
    """A size, or a share of the whole."""
    if isinstance(value, Amount):
        return value
    if isinstance(value, str) and value.endswith("%"):
        return Amount(ppm=share_ppm(value))
    return Amount(bytes=_read(value, SIZES, "a size like 1GiB or a share like 10%"))


def between(read: Callable[[object], int], least: str, most: str) -> Callable[[object], int]:
    """`read`, refusing what is below `least` or above `most`."""
    low, high = read(least), read(most)

    def bounded(value: object) -> int:
        number = read(value)
        if not low <= number <= high:
            raise ValueError(f"{_quote(value)} is out of range; write {least} to {most}")
        return number

    return bounded


def _read(value: object, units: dict[str, int], wanted: str) -> int:
    if value == 0 and not isinstance(value, bool):
        return 0
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f"{value} has no unit; write {wanted}")
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{_quote(value)} is not {wanted}")
    number, unit = match.groups()
    if unit not in units:
        raise ValueError(f"{_quote(value)} has a unit that does not fit; write {wanted}")
    exact = Fraction(number) * units[unit]
    if exact.denominator != 1:
        raise ValueError(f"{_quote(value)} is finer than this setting can be")
    return int(exact)


def _quote(value: object) -> str:
    return f"'{value}'" if isinstance(value, str) else f"this ({type(value).__name__})"
