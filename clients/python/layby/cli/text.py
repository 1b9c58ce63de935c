"""Words and numbers for people: durations, ages, sizes, and strangers' text made harmless.

Owns every conversion between what a person types or reads and what the program holds. Must never
know a socket, a verb or where the text is printed.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

UNITS = {
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3_600.0,
    "d": 86_400.0,
}
SIZES = {
    "": 1,
    "B": 1,
    "KB": 1_000,
    "MB": 1_000_000,
    "GB": 1_000_000_000,
    "KIB": 1 << 10,
    "MIB": 1 << 20,
    "GIB": 1 << 30,
    "TIB": 1 << 40,
}

_PART = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h|d)")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")

# C0, DEL and C1 steer a terminal; the bidirectional marks reorder what is read.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def harmless(text: str, keep: str = "") -> str:
    """Strangers' text for a screen: what steers a terminal is shown as an escape, not obeyed."""

    def shown(match: re.Match[str]) -> str:
        char = match.group()
        if char in keep:
            return char
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(char) or _escape(char)

    return _UNSAFE.sub(shown, text)


def _escape(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def harmless_json(text: str) -> str:
    """The same for a line of JSON, where such a character may stand only inside a string."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def parse_duration(text: str) -> float:
    """`30s`, `1m30s`, `500ms`; a bare number is seconds. Raises ValueError."""
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    parts = list(_PART.finditer(text))
    if not parts or "".join(part.group() for part in parts) != text:
        raise ValueError(f"{text!r} is not a duration; write it like 30s, 1m30s or 500ms")
    return sum(float(part.group(1)) * UNITS[part.group(2)] for part in parts)


def duration(seconds: float) -> str:
    """The way `parse_duration` reads it: `30s`, `1m30s`, `500ms`, exact to the microsecond."""
    left = round(seconds * 1_000_000)
    if left == 0:
        return "0s"
    words = []
    for unit, size in (("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000)):
        whole, left = divmod(left, size)
        if whole:
            words.append(f"{whole}{unit}")
    if left:
        words.append(_below_a_minute(left))
    return "".join(words)


def _below_a_minute(us: int) -> str:
    if us < 1_000:
        return f"{us}us"
    if us < 1_000_000:
        return f"{us / 1_000:g}ms"
    return f"{us / 1_000_000:.10g}s"


def about(seconds: float) -> str:
    """A length at a glance: one unit, rounded down."""
    seconds = abs(seconds)
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds * 1_000)}ms" if seconds >= 0.001 else "0s"


def relative(at_us: int, now_us: int) -> str:
    """`3m ago`, `in 10s`, `now`; nothing for a time that is not set."""
    if not at_us:
        return "-"
    seconds = (at_us - now_us) / 1_000_000
    if abs(seconds) < 1:
        return "now"
    return f"in {about(seconds)}" if seconds > 0 else f"{about(seconds)} ago"


def clock(at_us: int) -> str:
    """RFC 3339 in UTC, to the microsecond."""
    at = datetime.fromtimestamp(at_us // 1_000_000, UTC) + timedelta(microseconds=at_us % 1_000_000)
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse_size(text: str) -> int:
    """`200`, `64KiB`, `1.5 GiB`. Raises ValueError."""
    match = _SIZE.fullmatch(text.strip())
    unit = match.group(2).upper() if match else None
    if match is None or unit not in SIZES:
        raise ValueError(f"{text!r} is not a size; write it like 200, 64KiB or 1GiB")
    return int(float(match.group(1)) * SIZES[unit])


def size(number: float) -> str:
    """A number of bytes at a glance."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"


def plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def parse_when(text: str, now: datetime) -> str | int | datetime:
    """`earliest`, `latest`, a position, a time (RFC 3339, local without a zone), `now`, or how
    long ago.

    Raises ValueError.
    """
    text = text.strip()
    if text in ("earliest", "latest"):
        return text
    if text.isascii() and text.isdigit():
        return int(text)
    if text == "now":
        return now
    try:
        return now - timedelta(seconds=parse_duration(text))
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is not earliest, latest, a position, a time like 2026-11-23T10:00:00Z "
            "or a length like 10m (ago)"
        ) from None
    return at if at.tzinfo else at.astimezone()
