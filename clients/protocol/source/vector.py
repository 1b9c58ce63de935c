"""One test vector: frames, and what they mean or why they are refused.

Owns the notation of the JSON files (README.md there explains it). Must never import the broker or
a client: the vectors are written apart from both, with nothing but struct, zlib and msgpack.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgpack

RUN_MIN = 64


class Vector(NamedTuple):
    """`exact`: an encoder given `meaning` must produce frames of the same content."""

    name: str
    frames: Sequence[bytes]
    meaning: object = None
    code: str = ""
    exact: bool = True
    note: str = ""

    def as_json(self) -> dict[str, object]:
        entry: dict[str, object] = {"name": self.name}
        if self.note:
            entry["note"] = self.note
        entry["frames_hex"] = [hex_of(frame) for frame in self.frames]
        if self.code:
            return entry | {"code": self.code}
        entry["decoded"] = plain(self.meaning)
        if not self.exact:
            entry["exact"] = False
        return entry


def good(name: str, meaning: dict[str, Any], *blocks: bytes, note: str = "") -> Vector:
    """A map that means itself, and its blocks."""
    return Vector(name, [pack(meaning), *blocks], meaning, note=note)


def bad(name: str, code: str, *frames: bytes | dict[str, Any], note: str = "") -> Vector:
    packed = [pack(frame) if isinstance(frame, dict) else frame for frame in frames]
    return Vector(name, packed, code=code, note=note)


def pack(value: object) -> bytes:
    packed: bytes = msgpack.packb(value)
    return packed


def plain(value: object) -> Any:
    """JSON with bytes as {"hex": ...}."""
    if isinstance(value, bytes):
        return {"hex": hex_of(value)}
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return value


def unplain(value: Any) -> Any:
    """What `plain` was made of."""
    if isinstance(value, dict):
        if value.keys() == {"hex"}:
            return unhex(value["hex"])
        return {key: unplain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [unplain(entry) for entry in value]
    return value


def hex_of(data: bytes) -> str:
    """Hex; a long run of one byte is written (xx*times)."""
    runs = re.compile(rb"(.)\1{%d,}" % (RUN_MIN - 1), re.DOTALL)
    text, at = "", 0
    for run in runs.finditer(data):
        text += data[at : run.start()].hex() + f"({run[1].hex()}*{len(run[0])})"
        at = run.end()
    return text + data[at:].hex()


def unhex(text: str) -> bytes:
    parts = re.split(r"\((..)\*(\d+)\)", text)
    data = bytes.fromhex(parts[0])
    for byte, times, rest in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        data += bytes.fromhex(byte) * int(times) + bytes.fromhex(rest)
    return data
