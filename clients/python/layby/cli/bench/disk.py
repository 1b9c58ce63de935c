"""What the disk under a broker can do: append and flush, nothing else.

Owns a throw-away file. Must never know a broker: its figure is what broker figures are held
against.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from layby.cli.bench.figures import percentile

SECONDS = 2.0
LARGE = 64 << 10
SMALL = 4 << 10


def append_and_flush(directory: Path, size: int, seconds: float = SECONDS) -> list[float]:
    """How long each write of `size` bytes took until it was on the disk, in seconds."""
    data = os.urandom(size)
    took: list[float] = []
    with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
        fd = file.fileno()
        begun = now = time.perf_counter()
        while now - begun < seconds:
            os.write(fd, data)
            os.fdatasync(fd)
            done = time.perf_counter()
            took.append(done - now)
            now = done
    return took


def measure(directory: Path | None, seconds: float = SECONDS) -> dict[str, float | None]:
    """The two figures every result carries; null when no directory was named."""
    if directory is None:
        return {"disk_64k_mb_per_s": None, "disk_4k_p50_ms": None}
    large = append_and_flush(directory, LARGE, seconds)
    small = append_and_flush(directory, SMALL, seconds)
    return {
        "disk_64k_mb_per_s": round(len(large) * LARGE / sum(large) / 1e6, 1),
        "disk_4k_p50_ms": round(percentile(small, 50) * 1e3, 3),
    }
