"""What a load run knows: who pushed what when, who got it when, what became of it.

Owns the run's records, kept by the users while they act. Must never know locust or a socket.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from loadtests.audit import ACK, FAIL, Account, Handled, Kill, Pushed, Story, audit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from loadtests.wire import Delivery

GROUP = "load"
POISON = b"poison"


def now_us() -> int:
    return time.monotonic_ns() // 1_000


class Wait(NamedTuple):
    """A message's way: intended send to handler start. `late`: it was handed out before, to
    somebody who died or gave it back."""

    intended_us: int
    wait_us: int
    poison: bool
    late: bool


class World:
    """One run. `closing`: producers send no more, consumers finish what there is."""

    def __init__(self, seconds: float, max_attempts: int) -> None:
        self.seconds = seconds
        self.max_attempts = max_attempts
        self.closing = False
        self.start_us = now_us()
        self.pushed: list[Pushed] = []
        self.kills: list[Kill] = []
        self.waits: list[Wait] = []
        self.push_waits: list[tuple[int, int]] = []
        self.intended = 0
        self.trouble: list[str] = []
        self._under_way: set[str] = set()
        self._handled: dict[tuple[int, int], Handled] = {}
        self._seen: set[int] = set()

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
        self.pushed += [Pushed(first + i, name) for i, name in enumerate(names)]
        self.push_waits.append((intended_us, now_us() - intended_us))

    # ---- consumers

    def begun(self, consumer: str, got: Delivery) -> Wait | None:
        """A handler starts on a message; its way, when it is the first time."""
        at_us = now_us()
        name, intended_us, _ = got.data.split(b" ", 2)
        self._handled[got.position, got.grant] = Handled(
            got.position,
            name.decode(),
            consumer,
            got.boot,
            got.grant,
            got.lane,
            got.deliveries,
            at_us,
        )
        if got.position in self._seen:
            return None
        self._seen.add(got.position)
        due_us = int(intended_us)
        wait = Wait(due_us, at_us - due_us, name.startswith(POISON), got.deliveries > 1)
        self.waits.append(wait)
        return wait

    def ended(self, got: Delivery, outcome: str) -> None:
        key = got.position, got.grant
        self._handled[key] = self._handled[key]._replace(outcome=outcome, end_us=now_us())

    def returned(self, got: Delivery) -> None:
        """Given back before anybody started on it, or its outcome was refused."""
        self._handled.pop((got.position, got.grant), None)

    def settled(self, all_of: Iterable[Delivery]) -> None:
        """The broker has confirmed these outcomes."""
        at_us = now_us()
        for got in all_of:
            key = got.position, got.grant
            if key in self._handled:
                self._handled[key] = self._handled[key]._replace(confirmed_us=at_us)

    # ---- the end

    def missing(self) -> int:
        """Messages under way, or confirmed and neither acked nor failed for the last time."""
        failures: dict[int, int] = {}
        ended = set()
        for record in self._handled.values():
            if record.outcome == FAIL:
                failures[record.position] = failures.get(record.position, 0) + 1
                if failures[record.position] >= self.max_attempts:
                    ended.add(record.position)
            elif record.outcome == ACK:
                ended.add(record.position)
        unended = sum(push.position not in ended for push in self.pushed)
        return unended + len(self._under_way)

    def account(self, dead: Iterable[int]) -> Account:
        return audit(
            Story(
                self.pushed,
                list(self._handled.values()),
                frozenset(dead),
                self.kills,
                self.max_attempts,
                sorted(self._under_way),
            )
        )
