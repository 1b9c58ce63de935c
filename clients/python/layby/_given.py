"""What users hand in beside the data, checked in their own thread, where they hear of it.

Owns the bounds that the protocol sets to keys, headers, times, names, reasons and delays: what
passes here can be encoded wherever it is encoded later. Must never know who sends it, or when.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from layby._block import SIDE_BYTES, pack_headers
from layby._units import Data, Seconds, When, as_bytes, as_seconds, as_time_us
from layby.errors import BadName, TooLarge

REASON_BYTES = 1 << 10
DELAY_MAX_MS = 366 * 86_400_000


def as_key(key: Data | None) -> bytes:
    """b"" for none."""
    taken = as_bytes(key) if key else b""
    if len(taken) > SIDE_BYTES:
        text = f"a key of {len(taken)} bytes; {SIDE_BYTES} at most: put it into the data"
        raise TooLarge(text, {"code": "too_large"})
    return taken


def as_headers(headers: Mapping[str, str] | None) -> bytes:
    """Packed; b"" for none."""
    if not headers:
        return b""
    for pair in headers.items():
        if not all(isinstance(word, str) for word in pair):
            raise TypeError(f"headers are text, name and value; not {pair!r}")
    try:
        packed = pack_headers(headers)
    except UnicodeEncodeError as error:
        raise ValueError(f"a header is not valid UTF-8 ({error}): put it into the data") from None
    if len(packed) > SIDE_BYTES:
        text = f"headers of {len(packed)} bytes; {SIDE_BYTES} at most: put them into the data"
        raise TooLarge(text, {"code": "too_large"})
    return packed


def as_stamp(timestamp: When | None) -> int | None:
    """None, as 0, leaves a message with the time of appending."""
    return None if timestamp is None else as_time_us(timestamp)


def message_fields(
    data: bytes, key: Data | None, headers: Mapping[str, str] | None, timestamp: When | None
) -> dict[str, Any]:
    """A lone push's own fields."""
    fields: dict[str, Any] = {"data": data}
    if taken := as_key(key):
        fields["key"] = taken
    if headers and as_headers(headers):
        fields["headers"] = dict(headers)
    if time_us := as_stamp(timestamp):
        fields["timestamp_us"] = time_us
    return fields


def as_name(name: str, what: str) -> str:
    """Only that it can be sent: which names are allowed is the broker's to say."""
    if not name.isascii():
        try:
            name.encode()
        except UnicodeEncodeError:
            text = f"{what}: a name is 1 to 200 of A-Z a-z 0-9 . _ -, got {ascii(name)[:220]}"
            raise BadName(text, {"code": "bad_name", "fault": "yours"}) from None
    return name


def as_reason(reason: str) -> str:
    """At most REASON_BYTES of UTF-8, never in the middle of a character. What is no UTF-8 (a file
    name's odd byte in an exception's text) is written as an escape."""
    if not isinstance(reason, str):
        raise TypeError(f"a reason is text, not {type(reason).__name__}")
    return reason.encode(errors="backslashreplace")[:REASON_BYTES].decode(errors="ignore")


def as_delay_ms(delay: Seconds) -> int:
    """From now on; what should have been by now is due at once."""
    return _length_ms(delay, "a message is deferred")


def as_hold_ms(length: Seconds) -> int:
    return _length_ms(length, "a message is held")


def _length_ms(length: Seconds, what: str) -> int:
    seconds = as_seconds(length)
    if not seconds * 1e3 <= DELAY_MAX_MS:  # not a number is not either
        raise ValueError(f"{what} by 366 days at most, not by {seconds} s")
    return max(0, round(seconds * 1e3))
