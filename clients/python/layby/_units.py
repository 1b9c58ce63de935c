"""What users may hand in, and what it is on the wire. Owns the conversions; knows nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from layby._block import Buffer

Data = bytes | bytearray | memoryview | str
Seconds = float | timedelta
When = float | datetime
Start = str | int | datetime
"""Where reading begins: "earliest", "latest", a position, or a time of appending."""


def as_bytes(data: Data) -> bytes:
    """Bytes as they are, text as UTF-8."""
    if isinstance(data, bytes):
        return data
    if isinstance(data, str):
        return data.encode()
    if isinstance(data, bytearray | memoryview):
        return bytes(data)
    raise TypeError(f"a message is bytes or str, not {type(data).__name__}")


def as_seconds(length: Seconds) -> float:
    return length.total_seconds() if isinstance(length, timedelta) else float(length)


def as_deadline(timeout: Seconds | None, now: float) -> float:
    return math.inf if timeout is None else now + as_seconds(timeout)


def as_time_us(time: When) -> int:
    if isinstance(time, datetime):
        if time.tzinfo is None:
            raise ValueError("a datetime needs a time zone")
        span = time - datetime(1970, 1, 1, tzinfo=UTC)
        return span // timedelta(microseconds=1)
    return round(time * 1e6)


def as_start(start: Start) -> str | int | dict[str, int]:
    """As it stands in a poll or a read."""
    if isinstance(start, datetime):
        return {"time_us": as_time_us(start)}
    if isinstance(start, str) and start not in ("earliest", "latest"):
        raise ValueError('start is "earliest", "latest", a position (int) or a datetime')
    return start


def message_fields(
    data: bytes, key: Data | None, headers: Mapping[str, str] | None, timestamp: When | None
) -> dict[str, Any]:
    """A lone push's own fields."""
    fields: dict[str, Any] = {"data": data}
    if key:
        fields["key"] = as_bytes(key)
    if headers:
        fields["headers"] = dict(headers)
    if timestamp is not None:
        fields["timestamp_us"] = as_time_us(timestamp)
    return fields


def size_of(frame: Buffer) -> int:
    return frame.nbytes if isinstance(frame, memoryview) else len(frame)
