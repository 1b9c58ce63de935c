"""Work that a client's I/O does between turns and never under the lock: blocks that have lingered.

Owns when each is due, and that one that goes wrong ends alone. Must never know what it does, or
whether a thread or a loop does the turns.
"""

from __future__ import annotations

import logging
import math
from typing import Protocol

from layby.errors import Closed, closed_by

log = logging.getLogger("layby")


class Chore(Protocol):
    def due_at(self) -> float: ...

    def run(self, now: float) -> None: ...

    def fail(self, error: Closed) -> None:
        """It raised, or all has ended: it is not run again."""


class Chores:
    def __init__(self) -> None:
        self._all: set[Chore] = set()

    def add(self, chore: Chore) -> None:
        self._all.add(chore)

    def drop(self, chore: Chore) -> None:
        self._all.discard(chore)

    def run(self, now: float) -> float:
        """What is due; gives when the next is."""
        due = math.inf
        for chore in list(self._all):
            if now >= chore.due_at():
                self._run(chore, now)
            due = min(due, chore.due_at())
        return due

    def _run(self, chore: Chore, now: float) -> None:
        try:
            chore.run(now)
        except Exception as error:
            log.exception("a part of a layby client stopped")
            self._fail(chore, closed_by("it stopped", error))

    def fail(self, failure: Closed) -> None:
        """All has ended."""
        for chore in list(self._all):
            self._fail(chore, failure)

    def _fail(self, chore: Chore, failure: Closed) -> None:
        self.drop(chore)
        try:
            chore.fail(failure)
        except Exception:
            log.exception("telling a part of a layby client that it has stopped")
