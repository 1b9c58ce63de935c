"""What users may hand in, and what it is on the wire. Owns the conversions; knows nothing else."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from layby._block import NUMBER_END, Buffer

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
        try:
            return data.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"text that is not valid UTF-8 ({error}): hand in bytes") from None
    if isinstance(data, bytearray | memoryview):
        return bytes(data)
    raise TypeError(f"a message is bytes or str, not {type(data).__name__}")


def as_seconds(length: Seconds) -> float:
    return length.total_seconds() if isinstance(length, timedelta) else float(length)


def as_deadline(timeout: Seconds | None, now: float) -> float:
    return math.inf if timeout is None else now + as_seconds(timeout)


def as_time_us(time: When) -> int:
    if isinstance(time, datetime):
        us = _since_1970(time)
    elif math.isfinite(time):
        us = round(time * 1e6)
    else:
        raise ValueError(f"{time} is not a time")
    if not 0 <= us < NUMBER_END:
        raise ValueError(f"{time} is not a time from 1970 on and before 2255, in seconds")
    return us


def _since_1970(time: datetime) -> int:
    if time.tzinfo is None:
        raise ValueError("a datetime needs a time zone")
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def as_start(start: Start) -> str | int | dict[str, int]:
    """As it stands in a poll or a read."""
    if isinstance(start, datetime):
        return {"time_us": max(_since_1970(start), 0)}
    if isinstance(start, str) and start not in ("earliest", "latest"):
        raise ValueError('start is "earliest", "latest", a position (int) or a datetime')
    return start


def size_of(frame: Buffer) -> int:
    return frame.nbytes if isinstance(frame, memoryview) else len(frame)
