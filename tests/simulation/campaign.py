"""Many seeds, one after the other or some at a time, and the account of them.

Owns progress and the account. Seeds are done in their order, so that a campaign that was stopped
goes on where its last line of progress says.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from time import monotonic, process_time
from typing import Any, NamedTuple

from tests.simulation.audit_log import Violation
from tests.simulation.shrink import TRIES, Case, Shrinker

PROGRESS_S = 10.0


class Result(NamedTuple):
    """Of one seed. `failure`: the smallest case that fails, and the first line of why."""

    case: Case
    events: int
    virtual_s: float
    messages: int
    crashes: int
    cpu_s: float
    failure: tuple[str, str] | None


class Account:
    def __init__(self) -> None:
        self.begun = monotonic()
        self.done: list[Result] = []

    @property
    def failures(self) -> list[dict[str, str]]:
        return [
            {"case": one.failure[0], "what": one.failure[1]}
            for one in self.done
            if one.failure is not None
        ]

    @property
    def events(self) -> int:
        return sum(one.events for one in self.done)

    def fields(self, seed: int) -> dict[str, Any]:
        cpu_s = sum(one.cpu_s for one in self.done)
        return {
            "method": "simulation",
            "seed": seed,
            "count": len(self.done),
            "failures": self.failures,
            "seconds": round(monotonic() - self.begun, 1),
            "events": self.events,
            "events_per_core_s": round(self.events / max(cpu_s, 1e-9)),
            "virtual_hours": round(sum(one.virtual_s for one in self.done) / 3600, 1),
            "messages": sum(one.messages for one in self.done),
            "crashes": sum(one.crashes for one in self.done),
        }


def campaign(cases: Iterable[Case], jobs: int, events: int | None = None) -> Account:
    """As many cases as are given, or until so many events have happened."""
    account, told = Account(), monotonic()
    with _results(cases, jobs) as results:
        for result in results:
            account.done.append(result)
            if result.failure is not None:
                say(f"seed {result.case.seed} fails: {result.failure[1]}\n  {result.failure[0]}")
            if monotonic() - told > PROGRESS_S:
                told = monotonic()
                say(f"seed {result.case.seed} done, {account.events:,} events in all")
            if events is not None and account.events >= events:
                break
    return account


def say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


@contextmanager
def _results(cases: Iterable[Case], jobs: int) -> Iterator[Iterator[Result]]:
    if jobs == 1:
        yield map(result_of, cases)
        return
    with get_context("fork").Pool(jobs) as pool:
        yield pool.imap(result_of, cases)


def result_of(case: Case) -> Result:
    begun = process_time()
    try:
        summary = case.run()
    except Violation as violation:
        cpu_s = process_time() - begun
        small, found = Shrinker(TRIES).shrink(case)
        why = small.text, found.brief
        return Result(case, violation.step, 0.0, 0, 0, cpu_s, why)
    cpu_s = process_time() - begun
    return Result(
        case, summary.steps, summary.virtual_s, summary.messages, summary.crashes, cpu_s, None
    )
