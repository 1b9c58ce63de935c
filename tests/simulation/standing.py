"""What the auditor knows of one message for one group: where it may be, now and on the disk.

Owns possibilities. A standing says which next steps of the broker are right; where the auditor
cannot know which of several things happened, it is their union.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

MEMORY_MAX = 8


class Standing(NamedTuple):
    """Where the message may be. Attempts lie in `low .. high`; a deferred one is not due before
    `due_us`, or before `counted_due_us` when the attempt above `low` was counted. `suspect`: if it
    is deferred and was not counted, it is one of several that an ended lease left behind."""

    live: bool = False
    deferred: bool = False
    dead: bool = False
    done: bool = False
    low: int = 0
    high: int = 0
    due_us: int = 0
    counted_due_us: int = 0
    suspect: bool = False

    @property
    def settled(self) -> bool:
        """For certain."""
        return (self.done or self.dead) and not self.live and not self.deferred

    @property
    def surely_live(self) -> bool:
        return self.live and not (self.deferred or self.dead or self.done)

    def sooner(self, by_us: int) -> Standing:
        """The clock was put forward."""
        return self._replace(due_us=self.due_us - by_us, counted_due_us=self.counted_due_us - by_us)

    def due(self, attempts: int) -> int:
        return self.due_us if attempts == self.low else self.counted_due_us


FRESH = Standing(live=True)


def union(standings: Iterable[Standing]) -> Standing:
    known = list(standings)
    if len(known) == 1:
        return known[0]
    due_us = min(one.due_us for one in known)
    return Standing(
        live=any(one.live for one in known),
        deferred=any(one.deferred for one in known),
        dead=any(one.dead for one in known),
        done=any(one.done for one in known),
        low=min(one.low for one in known),
        high=max(one.high for one in known),
        due_us=due_us,
        counted_due_us=min(due_us, *(one.counted_due_us for one in known)),
        suspect=all(one.suspect for one in known),
    )


class Mark:
    """One message. `disk` is what a crash is sure to find at least; `pending` came after it and
    may be found as well; `holder` is the lease that has it. `blamed`: the leases whose end may have
    been counted against it, which its history keeps when it is opened again."""

    __slots__ = (
        "backs",
        "blamed",
        "boot",
        "disk",
        "ended",
        "handouts",
        "holder",
        "now",
        "pending",
        "position",
        "releases",
        "settled_before",
        "settled_by",
    )

    def __init__(self, position: int) -> None:
        self.position = position
        self.now = self.disk = FRESH
        self.pending: list[Standing] = []
        self.holder: bytes | None = None
        self.boot = 0
        self.handouts = 0
        self.backs = 0
        self.releases = 0
        self.ended: set[bytes] = set()
        self.blamed: set[bytes] = set()
        self.settled_by: set[tuple[bytes, str]] = set()
        self.settled_before: set[tuple[bytes, str]] = set()

    def change(self, standing: Standing) -> None:
        self.now = standing
        self.pending.append(standing)
        if len(self.pending) > MEMORY_MAX:
            self.disk = union((self.disk, self.pending.pop(0)))

    def confirm(self, standing: Standing) -> None:
        """This standing, and so all before it, is on the disk for certain."""
        for at, one in enumerate(self.pending):
            if one is standing:
                self.disk = standing
                del self.pending[: at + 1]
                return

    def crash(self) -> None:
        self.holder = None
        self.now = self.disk = union((self.disk, *self.pending))
        self.pending.clear()
        self.settled_before |= self.settled_by
        self.settled_by.clear()

    def checkpoint(self) -> None:
        """All there is to know is on the disk."""
        self.disk = self.now
        self.pending.clear()

    def end(self, lease: bytes, may_count: bool) -> None:
        """Its lease is over, and it was not settled."""
        self.ended.add(lease)
        if may_count:
            self.blamed.add(lease)

    def reopen(self) -> None:
        """A new generation: what was settled before may be settled again."""
        self.settled_before |= self.settled_by
        self.settled_by.clear()
        self.ended.clear()

    def hand_out(self, boot: int) -> int:
        """Counts one more; how many there were in this boot before."""
        if self.boot != boot:
            self.boot, self.handouts = boot, 0
        self.handouts += 1
        return self.handouts - 1
