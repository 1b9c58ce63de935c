"""What is right about an answer, whatever was asked: its shape, its code, whom it goes to.

Owns a reading of PROTOCOL.md apart from the broker's. Must never know how answers are made.
"""

from __future__ import annotations

from typing import Any

import msgpack

from loadtests.wire import bodies, positions
from tests.fuzz.corpus import Message, codes

CODES = codes()
INT_END = 1 << 53
MAP_BYTES = 64 << 10
TEXT_BYTES = 2_000
BLOCKS = 16


class Wrong(Exception):
    """A promise is broken; the text says which."""


def envelope(message: Message) -> Message:
    """What of a message comes back in front of its answer."""
    for number, frame in enumerate(message[:8]):
        if not frame:
            kept = message[: number + 1]
            return [] if any(len(one) > 255 for one in kept) else kept
    return []


def judged(answer: list[Any], asked: Message | None) -> dict[str, Any]:
    """The answer's map; `asked` is None when several questions may have led to it. Raises Wrong."""
    lead = envelope(answer[1:] if asked is None else asked)
    if answer[1 : len(lead) + 1] != lead:
        raise Wrong("the envelope did not come back")
    packed, *blocks = answer[len(lead) + 1 :]
    found = msgpack.unpackb(packed)
    if type(found.get("ok")) is not bool or type(found.get("boot")) is not int:
        raise Wrong(f"an answer without ok or boot: {found}")
    if len(packed) > MAP_BYTES and not found.get("refused"):
        raise Wrong(f"an answer's map of {len(packed)} bytes")
    if not found["ok"]:
        _refusal(found, blocks)
    elif blocks:
        _blocks(found, [bytes(getattr(block, "buffer", block)) for block in blocks])
    return found  # type: ignore[no-any-return]


def _refusal(found: dict[str, Any], blocks: list[Any]) -> None:
    if found["code"] not in CODES:
        raise Wrong(f"the code {found['code']} is not in codes.json")
    if found["code"] == "internal":
        raise Wrong(f"refused as our own bug: {found['text']}")
    if blocks:
        raise Wrong("a refusal with blocks")
    text = found["text"]
    if not text.isprintable() or not 0 < len(text.encode()) <= TEXT_BYTES:
        raise Wrong(f"a text for people that is none: {text!r}")
    if found["fault"] not in ("yours", "ours") or type(found["retryable"]) is not bool:
        raise Wrong(f"fault or retryable is wrong: {found}")
    if not 0 <= found["retry_ms"] < INT_END:
        raise Wrong(f"retry_ms is {found['retry_ms']}")


def _blocks(found: dict[str, Any], blocks: list[bytes]) -> None:
    named = found.get("leases") or found.get("blocks") or found.get("parked") or []
    if len(blocks) != len(named) or len(blocks) > BLOCKS:
        raise Wrong(f"{len(blocks)} blocks for {len(named)} entries")
    for entry, block in zip(named, blocks, strict=True):
        ranges = entry["ranges"] if "ranges" in entry else [entry["from"], entry["to"]]
        if len(bodies(block)) != len(list(positions(ranges))):
            raise Wrong(f"the ranges {ranges} do not fit their block")
