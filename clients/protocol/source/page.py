"""The examples and the table of codes inside PROTOCOL.md.

Owns how frames look on the page: hex on the left, meaning on the right. An example is asked for
by a line `<!-- example: FILE/NAME -->`; what stands between it and `<!-- end -->` is written here.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import msgpack

from clients.protocol.source.vector import Vector, pack

WIDTH = 50
Line = tuple[bytes, str]


def filled(text: str, vectors: Mapping[str, Vector], codes: list[dict[str, Any]]) -> str:
    """The page with every example and the codes as they are now."""

    def example(match: re.Match[str]) -> str:
        name = match[1]
        return f"<!-- example: {name} -->\n```\n{shown(vectors[name])}```\n<!-- end -->"

    text = re.sub(
        r"<!-- example: (\S+) -->(?:\n```\n.*?```\n<!-- end -->)?", example, text, flags=re.S
    )
    table = f"<!-- codes -->\n{_code_table(codes)}<!-- end -->"
    return re.sub(r"<!-- codes -->(?:.*?<!-- end -->)?", lambda _: table, text, flags=re.S)


def shown(vector: Vector) -> str:
    """All frames of a vector, annotated."""
    frames = list(vector.frames)
    text = ""
    for number, frame in enumerate(frames, start=1):
        text += f"frame {number} of {len(frames)}, {len(frame)} bytes\n"
        text += "".join(_row(data, note) for data, note in _lines(frame))
    return text


def _lines(frame: bytes) -> Iterator[Line]:
    if not frame:
        return iter([(b"", "empty")])
    return _block(frame) if frame.startswith(b"LBK1") else _value(msgpack.unpackb(frame), "")


def _row(data: bytes, note: str) -> str:
    """Up to 16 bytes a line, the note at the first."""
    rows = [data[at : at + 16].hex(" ") for at in range(0, max(1, len(data)), 16)]
    rows[0] = f"{rows[0]:<{WIDTH}}{note}"
    return "".join(f"  {row}".rstrip() + "\n" for row in rows)


def _value(value: Any, indent: str, lead: bytes = b"", label: str = "") -> Iterator[Line]:
    """A value and what is in it; `lead` are the bytes of its key."""
    packer = msgpack.Packer()
    if isinstance(value, dict) and value:
        yield lead + packer.pack_map_header(len(value)), f"{indent}{label}map of {len(value)}"
        for key, entry in value.items():
            yield from _value(entry, indent + "  ", pack(key), f"{key}: ")
    elif isinstance(value, list) and any(isinstance(entry, dict | list) for entry in value):
        yield lead + packer.pack_array_header(len(value)), f"{indent}{label}array of {len(value)}"
        for entry in value:
            yield from _value(entry, indent + "  ")
    else:
        yield lead + pack(value), f"{indent}{label}{_literal(value)}"


def _literal(value: Any) -> str:
    if isinstance(value, bytes):
        return f"{len(value)} bytes" + (f" {value.decode()!r}" if value.isalnum() else "")
    return json.dumps(value)


def _block(block: bytes) -> Iterator[Line]:
    flags, crc, messages, base_us = struct.unpack_from("<HIIQ", block, 6)
    sizes = struct.unpack_from("<6I", block, 24)
    yield block[:4], "magic"
    yield block[4:6], "version 1, codec 0"
    yield block[6:8], f"flags {flags}"
    yield block[8:12], f"CRC-32 {crc:08x}"
    yield block[12:16], f"messages {messages}"
    yield block[16:24], f"base time {base_us}"
    yield block[24:48], "sizes " + " ".join(map(str, sizes))
    at = 48
    for name, size in zip(
        ("lengths", "hashes", "times", "keys", "headers", "bodies"), sizes, strict=True
    ):
        if size:
            yield block[at : at + size], name
        at += size


def _code_table(codes: list[dict[str, Any]]) -> str:
    rows = [
        "| code | fault | retryable | meaning | what to do |",
        "| --- | --- | --- | --- | --- |",
    ]
    rows += [
        f"| `{code['code']}` | {code['fault']} | {'yes' if code['retryable'] else 'no'} "
        f"| {code['means']} | {code['advice']} |"
        for code in codes
    ]
    return "\n".join(rows) + "\n"
