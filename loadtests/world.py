"""What a load run knows: who pushed what when, who got it when, what became of it.

Owns the run's times, its counts and the tapes that its users write. Must never know locust or a
socket, nor judge: the auditor does, from the tapes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tests.audit.auditor import audit
from tests.audit.history import Line, Writer, merged
from tests.audit.tape import Tape, now_us

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadtests.wire import Delivery
    from tests.audit.auditor import Account

GROUP = "load"
POISON = b"poison"
ACK, FAIL = "ack", "fail"


class Wait(NamedTuple):
    """A message's way: intended send to handler start. `late`: it was handed out before, to
    somebody who died or gave it back."""

    intended_us: int
    wait_us: int
    poison: bool
    late: bool


class World:
    """One run. `closing`: producers send no more, consumers finish what there is."""

    def __init__(self, seconds: float, limits: dict[str, Any]) -> None:
        self.seconds = seconds
        self.max_attempts = limits["max_attempts"]
        self.closing = False
        self.start_us = now_us()
        self.pushed: list[int] = []
        self.waits: list[Wait] = []
        self.push_waits: list[tuple[int, int]] = []
        self.intended = 0
        self.trouble: list[str] = []
        self._under_way: set[str] = set()
        self._failures: dict[int, int] = {}
        self._ended: set[int] = set()
        self._seen: set[int] = set()
        self._tapes: list[Tape] = []
        self._events: list[Line] = []
        self._run = Writer(self._events.append, now_us)
        self._run.event("limits", **limits)

    # ---- times of the run

    @property
    def half_us(self) -> int:
        """Before it a run is clean, behind it comes what the scenario is about."""
        return self.start_us + int(self.seconds * 5e5)

    @property
    def warm_us(self) -> int:
        """What was intended before this is not measured."""
        return self.start_us + int(min(2.0, self.seconds / 10) * 1e6)

    # ---- producers

    def pushing(self, names: Sequence[str]) -> None:
        self.intended += len(names)
        self._under_way.update(names)

    def confirmed(self, first: int, names: Sequence[str], intended_us: int) -> None:
        self._under_way.difference_update(names)
        self.pushed += range(first, first + len(names))
        self.push_waits.append((intended_us, now_us() - intended_us))

    # ---- consumers

    def begun(self, got: Delivery) -> Wait | None:
        """A handler starts on a message; its way, when it is the first time."""
        at_us = now_us()
        name, intended_us, _ = got.data.split(b" ", 2)
        if got.position in self._seen:
            return None
        self._seen.add(got.position)
        due_us = int(intended_us)
        wait = Wait(due_us, at_us - due_us, name.startswith(POISON), got.deliveries > 1)
        self.waits.append(wait)
        return wait

    def ended(self, got: Delivery, outcome: str) -> None:
        if outcome == FAIL:
            self._failures[got.position] = self._failures.get(got.position, 0) + 1
        if outcome == ACK or self._failures.get(got.position, 0) >= self.max_attempts:
            self._ended.add(got.position)

    # ---- the end

    @property
    def unconfirmed(self) -> int:
        """Messages whose push nobody has heard of."""
        return len(self._under_way)

    def missing(self) -> int:
        """Messages under way, or confirmed and neither acked nor failed for the last time."""
        return sum(at not in self._ended for at in self.pushed) + len(self._under_way)

    def tape(self, client: str) -> Tape:
        """For all that goes over this client's sockets."""
        self._tapes.append(Tape(client))
        return self._tapes[-1]

    def killed(self, client: str) -> None:
        self._run.event("kill", who=client)

    def account(self) -> Account:
        self._run.event("end", drained=not self.missing())
        return audit(merged(self._events, *(tape.lines() for tape in self._tapes)))
