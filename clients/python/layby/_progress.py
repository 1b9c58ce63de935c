"""What is being worked on, and the reports that keep its leases alive.

Owns the runs handed to handlers and not wholly settled. Must never know polls, queues or sockets.
"""

from __future__ import annotations

from typing import Any

from layby._lease import Lease, Run
from layby._link import NEVER, Link
from layby._wire import Answer
from layby.errors import refused

ENTRIES_MAX = 1_500
SAME_AGE_S = 0.1


class Progress:
    def __init__(self, link: Link, group: str, session: bytes) -> None:
        self.out: dict[Run, None] = {}
        self.leases: dict[bytes, Lease] = {}
        self._link = link
        self._names = {"group": group, "session": session}
        self._hold: list[tuple[int, int]] = []
        self._at = NEVER

    # ---- books

    def leased(self, lease: Lease, now: float) -> None:
        self.leases[lease.id] = lease
        self._at = min(self._at, now + lease.lease_s / 3)

    def ended(self, lease: Lease) -> None:
        """Every message of it has an outcome."""
        self.leases.pop(lease.id, None)

    def hold(self, position: int, ms: int) -> None:
        """The application asks for more time; told at once."""
        self._hold.append((position, ms))
        self._at = 0.0

    def connected(self) -> None:
        """A report is due: the answer tells whether the leases still are."""
        if self.leases:
            self._at = 0.0

    def rebooted(self) -> None:
        """All leases are void; what is worked on goes on, and is settled."""
        self.leases.clear()
        self._hold.clear()

    # ---- reports

    def advance(self, now: float) -> None:
        if now < self._at:
            return
        if not self.leases:
            self._hold.clear()
            self._at = NEVER
            return
        self._report(now)

    def deadline(self) -> float:
        return self._at

    def _report(self, now: float) -> None:
        self._at = now + min(lease.lease_s for lease in self.leases.values()) / 3
        fields: dict[str, Any] = {**self._names, "working": self.working(now)}
        holds = self._hold[:ENTRIES_MAX]
        if holds:
            fields["hold"] = holds
            del self._hold[:ENTRIES_MAX]

        def answered(answer: Answer, heard: float) -> None:
            self._link.drop(request)
            if answer.ok:
                self._extended(now)
            else:
                self._tell_again(answer, holds, heard)

        request = self._link.claim(answered)
        self._link.send("extend", request, fields)

    def working(self, now: float) -> list[tuple[int, int, int]]:
        """Every message in a handler's hands, with its age; the oldest first."""
        found: list[list[float]] = []
        for run in self.out:
            if run.lease.id not in self.leases:
                continue
            for first, after in run.open_pieces():
                for low, high in run.lease.positions(first, after):
                    _append(found, low, high, now - run.since)
        return [(int(low), int(high), int(age * 1e3)) for low, high, age in found[:ENTRIES_MAX]]

    def _extended(self, sent: float) -> None:
        for lease in self.leases.values():
            lease.until = max(lease.until, sent + lease.lease_s)

    def _tell_again(self, answer: Answer, holds: list[tuple[int, int]], now: float) -> None:
        """What a broker could not hear now is told soon, before the leases end."""
        refusal = refused(answer.fields)
        if refusal.retryable:
            self._hold[:0] = holds
            self._at = min(self._at, now + refusal.retry_s)


def _append(found: list[list[float]], low: int, high: int, age: float) -> None:
    """Neighbours that were handed out together are one entry, with the older one's age."""
    if found:
        last = found[-1]
        if last[1] + 1 == low and abs(last[2] - age) < SAME_AGE_S:
            last[1] = high
            return
    found.append([low, high, age])
