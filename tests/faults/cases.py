"""Which call fails, how, and what the daemon may do about it.

Owns the classes of calls and the verdict on an end. Must never know how a trial is run.
"""

from __future__ import annotations

import errno
from random import Random
from typing import NamedTuple

from laybyd.errors import Exit

ABORTED = -6
UNSAID = 99
"""No memory before there was a log: in a process of its own a traceback, which a fork lacks."""


class Series(NamedTuple):
    """Calls of a class (as `shim.c` names it) that fail with an errno; 0 is a short write."""

    call: str
    error: int

    def __str__(self) -> str:
        return f"{NAMES[self.call]} {errno.errorcode.get(self.error, 'cut short')}"


class Case(NamedTuple):
    series: Series
    nth: int

    def __str__(self) -> str:
        return f"{self.series} #{self.nth}"


NAMES = {
    "W": "write",
    "D": "write of a commit's last page",
    "F": "flush",
    "O": "open",
    "R": "rename",
    "U": "unlink",
    "M": "map",
    "A": "allocation",
}

SERIES = tuple(
    Series(call, error)
    for call, errors in {
        "W": (errno.ENOSPC, errno.EIO, 0),
        "D": (errno.ENOSPC, errno.EIO),
        "F": (errno.EIO, errno.ENOSPC),
        "O": (errno.EIO, errno.EMFILE, errno.ENOSPC),
        "R": (errno.EIO, errno.ENOSPC),
        "U": (errno.EIO,),
        "M": (errno.ENOMEM,),
        "A": (errno.ENOMEM,),
    }.items()
    for error in errors
)

REACHED = {"W": 68, "D": 45, "F": 48, "O": 60, "R": 9, "U": 9, "M": 24, "A": 1_300}
"""About how many calls of each class a trial makes: where the short form draws from."""


def drawn(count: int, seed: int) -> list[Case]:
    """Cases spread over all series, in an order that is the seed's own."""
    rng = Random(seed)
    every = []
    for at, series in enumerate(SERIES):
        share = count // len(SERIES) + (at < count % len(SERIES))
        reach = REACHED[series.call]
        every += [Case(series, nth) for nth in rng.sample(range(1, reach + 1), min(share, reach))]
    rng.shuffle(every)
    return every


def following(case: Case) -> Case:
    """The next of its series. Allocations are too many: each further one is 2 % further on."""
    step = max(1, case.nth // 50) if case.series.call == "A" else 1
    return case._replace(nth=case.nth + step)


def wrong_end(case: Case, code: int | None, at_start: bool) -> str | None:
    """What is wrong with an exit code (None: it lives) after the fault."""
    if code in _right_ends(case.series, at_start):
        return None
    when = "while it started" if at_start else "while it ran"
    return f"it ended with {code} {when}"


def _right_ends(series: Series, at_start: bool) -> set[int | None]:
    """A full disk is no reason to end; starting without one's files is."""
    if series.call == "A":
        unsaid = {UNSAID} if at_start else set[int | None]()
        return {None, Exit.COMMIT_FAILED, Exit.BUG, Exit.NO_RIGHT, ABORTED} | unsaid
    if series.call == "W" and series.error == errno.ENOSPC and not at_start:
        return {None}
    if at_start:
        return {None, Exit.COMMIT_FAILED, Exit.NO_RIGHT}
    return {None, Exit.COMMIT_FAILED}
