"""Lines of a file or a pipe, as they come.

Owns the cutting: LF and CRLF end a line and are no part of it, empty lines are lines, and so is a
last one without an end. Must never know what becomes of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from layby.cli.trouble import Trouble

CHUNK = 1 << 18
LINE_MAX = 16 << 20


def lines_of(fd: int, read: Callable[[int, int], bytes] = os.read) -> Iterator[list[bytes]]:
    """Lists of whole lines, each as soon as it is there; nothing waits for the end."""
    rest = b""
    while chunk := read(fd, CHUNK):
        *whole, rest = (rest + chunk).split(b"\n")
        if whole:
            yield [_without_cr(line) for line in whole]
        if len(rest) > LINE_MAX:
            raise Trouble("too_large", f"a line is longer than {LINE_MAX} bytes")
    if rest:
        yield [rest]


def _without_cr(line: bytes) -> bytes:
    return line[:-1] if line.endswith(b"\r") else line
