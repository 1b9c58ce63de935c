"""A group's settings as people write them: `lease=45s`, `backoff=10s,1m`, `busy_share=5%`.

Owns the names and the kinds of values; the broker owns their meaning and their limits. Must never
know a default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from layby.cli import text


def _milliseconds(word: str) -> int:
    """A bare number is milliseconds here, as the setting's name says."""
    if word.isascii() and word.isdigit():
        return int(word)
    return round(text.parse_duration(word) * 1_000)


def _list_of_milliseconds(word: str) -> list[int]:
    return [_milliseconds(part.strip()) for part in word.split(",") if part.strip()]


def _share(word: str) -> int:
    """`5%` in parts of a million; a bare number is that already."""
    if word.endswith("%"):
        return round(float(word[:-1]) * 10_000)
    return int(word)


def _show_ms(value: int) -> str:
    return text.duration(value / 1_000)


def _show_list(value: Sequence[int]) -> str:
    return ",".join(_show_ms(part) for part in value)


def _show_share(value: int) -> str:
    return f"{value / 10_000:g}%"


Kind = tuple[Callable[[str], Any], Callable[[Any], str]]

DURATION: Kind = (_milliseconds, _show_ms)
DURATIONS: Kind = (_list_of_milliseconds, _show_list)
NUMBER: Kind = (int, "{:,}".format)
SIZE: Kind = (text.parse_size, text.size)
SHARE: Kind = (_share, _show_share)

KINDS: Mapping[str, Kind] = {
    "lease_ms": DURATION,
    "max_handling_ms": DURATION,
    "max_hold_ms": DURATION,
    "backoff_ms": DURATIONS,
    "max_attempts": NUMBER,
    "live_slice_ms": DURATION,
    "drain_slice_ms": DURATION,
    "hand_back_after_ms": DURATION,
    "max_wait_ms": DURATION,
    "busy_share_ppm": SHARE,
    "idle_after_ms": DURATION,
    "reserve": NUMBER,
    "max_out": NUMBER,
    "leases_per_session": NUMBER,
    "deferred_bytes": SIZE,
    "dead_bytes": SIZE,
}


def short(name: str) -> str:
    """The name without its unit: what a value with a unit of its own needs no more."""
    return name.removesuffix("_ms").removesuffix("_ppm")


WIRE_NAMES = {short(name): name for name in KINDS} | {name: name for name in KINDS}


def parse(word: str) -> tuple[str, Any]:
    """`name=value` as the wire has it. Raises ValueError with a sentence."""
    name, equals, value = word.partition("=")
    name = name.strip()
    if not equals or not value.strip():
        raise ValueError(f"{word!r} is not a setting; write it like max_attempts=3")
    if name not in WIRE_NAMES:
        near = get_close_matches(name, WIRE_NAMES, n=1)
        raise ValueError(
            f"there is no setting {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")
        )
    read, _ = KINDS[WIRE_NAMES[name]]
    try:
        return WIRE_NAMES[name], read(value.strip())
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def shown(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and value as `parse` reads them; one the CLI does not know is shown as it came."""
    return [
        (short(name), KINDS[name][1](value) if name in KINDS else str(value))
        for name, value in settings.items()
    ]
