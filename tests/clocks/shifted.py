"""A daemon whose wall clock is set by a file: `python shifted.py FILE laybyd OPTIONS...`.

The file holds by how many seconds the wall is off, and may be changed at any time. Owns the wall
of one process; the monotonic clock is left alone, as it is by who sets a clock.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

HOUR = 3_600
SECOND_NS = 1_000_000_000


def set_wall(file: Path, seconds: int) -> None:
    """At once and whole."""
    made = file.with_suffix(".new")
    made.write_text(str(seconds))
    made.rename(file)


def main() -> None:
    file = Path(sys.argv[1])
    real_ns = time.time_ns

    def time_ns() -> int:
        return real_ns() + int(file.read_text()) * SECOND_NS

    time.time_ns = time_ns
    time.time = lambda: time_ns() / SECOND_NS
    sys.argv = sys.argv[2:]
    from laybyd.cli import main

    main()


if __name__ == "__main__":
    main()
