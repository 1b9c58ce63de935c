"""A parked message in full: its bytes and everything that happened to it.

Owns the picture of one message. Must never know how it was chosen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from layby.cli.asking import PARKED, now_us, pages
from layby.cli.messages import text_or_b64
from layby.cli.ranges import in_requests
from layby.cli.table import facts
from layby.cli.text import clock, harmless, relative

if TYPE_CHECKING:
    from layby import Block, Client
    from layby.cli.app import Setup

BODIES_PER_ANSWER = 16
SHARED = ("attempts", "due_us", "alone", "generation", "history")


def records_of(
    setup: Setup, client: Client, group: str, lane: str, wanted: Sequence[tuple[int, int]]
) -> Iterator[dict[str, Any]]:
    """One record per message that is parked in these ranges, in order of position."""
    of = {"group": group, "lane": lane, "bodies": True}
    for flat in in_requests(wanted):
        for page in pages(setup, client, PARKED, limit=BODIES_PER_ANSWER, ranges=flat, **of):
            for entry, block in zip(page["parked"], page.blocks, strict=True):
                for record in _messages(entry, block):
                    if any(first <= record["position"] <= last for first, last in wanted):
                        yield {"group": group, **record}


def _messages(entry: dict[str, Any], block: Block) -> Iterator[dict[str, Any]]:
    shared = {name: entry[name] for name in SHARED}
    for index in range(block.messages):
        yield {
            "topic": entry["topic"],
            "position": entry["from"] + index,
            **text_or_b64("key", block.key(index)),
            "headers": block.headers(index),
            "timestamp_us": block.time_us(index) or entry.get("at_us"),
            **text_or_b64("data", block.body(index)),
            **shared,
        }


def portrait(record: dict[str, Any]) -> str:
    """For people: what it is, what happened to it, its text."""
    now = now_us()
    key = record.get("key", record.get("key_b64"))
    pairs = [
        ("position", str(record["position"])),
        ("topic", record["topic"]),
        ("time", clock(record["timestamp_us"]) if record["timestamp_us"] else None),
        ("key", key),
        *((f"header {name}", value) for name, value in record["headers"].items()),
        ("attempts", record["attempts"]),
        ("due", relative(record["due_us"], now)),
    ]
    lines = [facts(pairs), *(_happened(failure, now) for failure in record["history"])]
    text = record.get("data")
    shown = harmless(text, keep="\n\t") if text is not None else f"base64: {record['data_b64']}"
    return "\n".join([*lines, "", shown])


def _happened(failure: dict[str, Any], now: int) -> str:
    """One line of the history."""
    counted = "" if failure["counted"] else " (not counted)"
    who = f" by {failure['consumer']}" if failure["consumer"] else ""
    when = relative(failure["at_us"], now)
    return f"  {when}{harmless(who)}{counted}: {harmless(failure['reason'])}"
