"""`make bench`: every measurement of `layby bench`, against a daemon of its own on this disk.

Owns that daemon. Must never know what a measurement does.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from loadtests.daemon import DaemonProcess, command

VERBS = ("push", "consume", "e2e", "sync", "fan-in")
BESIDE = Path("var")
"""Not the system's temporary folder: that is often no disk at all."""


def main(options: list[str]) -> int:
    BESIDE.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=BESIDE, prefix="bench-") as home,
        DaemonProcess(Path(home).resolve()) as daemon,
    ):
        bench = [command("layby"), "--url", daemon.url, *options, "bench"]
        codes = [
            subprocess.run([*bench, verb, "--disk", home], check=False).returncode for verb in VERBS
        ]
    return max(codes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
