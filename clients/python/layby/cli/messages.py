"""One message as a line: its bytes for a pipe, harmless text for a screen, JSON for programs.

Owns the keys of a message in JSON. Must never know where it came from (a group, a read, a lane).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from layby.cli.out import json_line
from layby.cli.text import harmless

if TYPE_CHECKING:
    from collections.abc import Callable

    from layby.message import Failure, Message, Record


def text_or_b64(name: str, data: bytes | None) -> dict[str, str | None]:
    """`{name: text}` when the bytes are valid UTF-8, else `{name_b64: …}`."""
    if data is None:
        return {name: None}
    try:
        return {name: data.decode()}
    except UnicodeDecodeError:
        from base64 import b64encode

        return {f"{name}_b64": b64encode(data).decode()}


def timestamp_us(message: Record) -> int:
    """A float of seconds holds microseconds exactly until 2242."""
    return round(message.timestamp * 1_000_000)


def failure(entry: Failure) -> dict[str, Any]:
    """One line of a history, as the protocol names its fields."""
    return {
        "at_us": round(entry.at * 1_000_000),
        "reason": entry.reason,
        "consumer": entry.consumer,
        "counted": entry.counted,
    }


def contents(message: Record) -> dict[str, Any]:
    """What a message is, whoever holds it."""
    return {
        "topic": message.topic,
        "position": message.position,
        **text_or_b64("key", message.key),
        "headers": message.headers,
        "timestamp_us": timestamp_us(message),
        **text_or_b64("data", message.data),
    }


def delivered(message: Message) -> dict[str, Any]:
    """The same, and how it came to this consumer."""
    return {
        **contents(message),
        "lane": message.lane,
        "attempts": message.attempts,
        "deliveries": message.deliveries,
        "history": [failure(entry) for entry in message.history],
    }


def line_maker(
    as_json: bool, on_terminal: bool, record: Callable[[Any], dict[str, Any]]
) -> Callable[[Record], bytes]:
    """How this run writes a message: one line each, its newline included."""
    if as_json:
        return lambda message: (json_line(record(message)) + "\n").encode()
    if on_terminal:
        return lambda message: (harmless(message.text, keep="\n\t") + "\n").encode()
    return lambda message: message.data + b"\n"
