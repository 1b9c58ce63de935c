"""`make demo`: the plot, then the account; exit 1 when the account is wrong.

Owns the run's folder, which is removed after a right account and kept after a wrong one.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

from loadtests.daemon import NotReady
from loadtests.demo.closing import judged, report, speeds, told
from loadtests.demo.lines import Line, chosen, mixed
from loadtests.demo.screen import screen
from loadtests.demo.story import ATTEMPTS, LIMITS, Play, TooSlow

INTERRUPTED = 130


def lines_to_send() -> list[Line]:
    lines = mixed(chosen(shlex.split(os.environ.get("LOGS", ""))))
    if not lines:
        sys.exit("the files in LOGS hold no lines")
    return lines


def play(folder: Path, lines: list[Line]) -> bool:
    """Whether the account is right."""
    shown = screen()
    plot = Play(folder, lines, shown)
    trouble = ""
    try:
        plot.run()
        dead = plot.dead()
    except (TooSlow, NotReady) as error:
        trouble, dead = str(error), []
    finally:
        shown.close()
        plot.close()
    found = told(plot.records, lines)
    account = judged(plot.records, found, dead, plot.kills, LIMITS)
    phases = plot.phases()
    named = [(p.name, speed) for p, speed in zip(phases, speeds(found, lines, phases), strict=True)]
    print(report(account, named, plot.kills, ATTEMPTS))
    if trouble:
        print(f"WRONG: {trouble}")
    return not (account.faults or trouble)


def main() -> int:
    try:
        lines = lines_to_send()
    except OSError as error:
        sys.exit(f"cannot read a file in LOGS: {error}")
    folder = Path(tempfile.mkdtemp(prefix="layby-demo-"))
    right = False
    try:
        right = play(folder, lines)
    except KeyboardInterrupt:
        right = True
        return INTERRUPTED
    finally:
        if right:
            shutil.rmtree(folder)
        else:
            print(f"store, records and logs are kept in {folder}")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
