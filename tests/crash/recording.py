"""What a recorder wrote down, read back: calls of the daemon and marks of its client, in order.

Owns the record format of `shim.c` and the marks' place in it. Must never know what a call does to
a disk, nor what a mark means.
"""

from __future__ import annotations

import json
import os
from struct import Struct
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HEAD = Struct("<IB3xiiQ")

OPEN, WRITE, CUT_FD, CUT_PATH = "o", "w", "t", "T"
FLUSH_BEGINS, FLUSHED, WRITE_FLUSHED = "s", "S", "D"
RENAME, REMOVE, MAKE_DIR = "r", "u", "m"
UNSEEN, FAILED, MARK = "!", "F", "M"


class Record(NamedTuple):
    """`at` is an offset, a size or the flags of an open; `data` what was written, or names."""

    kind: str
    thread: int
    fd: int
    at: int
    data: bytes

    @property
    def path(self) -> str:
        return self.data.decode()

    @property
    def mark(self) -> Any:
        return json.loads(self.data)


def read(path: Path) -> Iterator[Record]:
    """Whole records; the last one may be cut when its writer was killed."""
    data = path.read_bytes()
    at = 0
    while at + _HEAD.size <= len(data):
        size, kind, thread, fd, place = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        if at + size > len(data):
            return
        yield Record(chr(kind), thread, fd, place, data[at : at + size])
        at += size


class Marks:
    """A client's own lines in the recording. Appending is one call, so that a line stands behind
    all that the daemon had done before the client knew of it."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def put(self, **mark: object) -> None:
        data = json.dumps(mark).encode()
        os.write(self._fd, _HEAD.pack(len(data), ord(MARK), 0, -1, 0) + data)

    def close(self) -> None:
        os.close(self._fd)
