"""Lines to stdout, each known to be out before anything else happens.

Owns the bare descriptor: no buffer of ours stands between a line that is written and its ack.
Must never know a message.
"""

from __future__ import annotations

import os
import sys


class Pipe:
    def __init__(self, fd: int | None = None) -> None:
        if fd is None:
            sys.stdout.flush()
            fd = sys.stdout.fileno()
        self._fd = fd

    def write(self, line: bytes) -> bool:
        """Whether all of it went out; False when nobody reads any more."""
        left = memoryview(line)
        try:
            while left:
                left = left[os.write(self._fd, left) :]
        except BrokenPipeError:
            return False
        return True
