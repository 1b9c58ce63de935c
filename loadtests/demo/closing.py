"""The closing account of the demo: speeds from the records, the auditor's word on the histories.

Owns what is put before the auditor, and what is printed. Must never use the broker's own numbers;
the only thing it takes from it is what `layby dead ls` lists, and has that held against the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from loadtests.demo.records import HISTORY, Follower
from loadtests.latency import Latency, latency
from tests.audit.auditor import audit
from tests.audit.evidence import Breach
from tests.audit.history import DAEMON, OK, RUN, Writer, merged, read
from tests.audit.tape import now_us

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from loadtests.demo.lines import Line
    from tests.audit.auditor import Account
    from tests.audit.history import Line as HistoryLine

GROUP = "demo"
CONFIRMED = "every line is confirmed"
"""Beside the broker's promises: the demo's producer waits until it has heard of each."""


class Kill(NamedTuple):
    """A kill -9 of a consumer, or of the daemon."""

    who: str
    at_us: int


class Told(NamedTuple):
    """What the records hold, put together: when which position was first worked on, and so on."""

    started_us: dict[int, int]
    intended_us: dict[int, int]
    line_at: dict[int, int]
    unconfirmed: list[str]


def told(folder: Path, lines: Sequence[Line]) -> Told:
    notes = list(Follower(folder).news())
    producer = [note for who, note in notes if who == "producer"]
    line_at = _confirmed(producer)
    start = next(note for note in producer if note["what"] == "start")
    confirmed = set(line_at.values())
    return Told(
        _started(note for _, note in notes),
        {
            position: start["live_us"] + (line - start["history"]) * start["period_us"]
            for position, line in line_at.items()
        },
        line_at,
        [line.what for i, line in enumerate(lines) if i not in confirmed],
    )


def _confirmed(notes: Iterable[dict[str, Any]]) -> dict[int, int]:
    """Which line is at which position."""
    blocks = ((note["first"], note["lines"]) for note in notes if note["what"] == "confirmed")
    return {first + i: line for first, lines in blocks for i, line in enumerate(lines)}


def _started(notes: Iterable[dict[str, Any]]) -> dict[int, int]:
    """When a handler first began on a position."""
    starts: dict[int, int] = {}
    for note in notes:
        if note["what"] == "begun":
            at = note["position"]
            starts[at] = min(note["at"], starts.get(at, note["at"]))
    return starts


class Phase(NamedTuple):
    """A stretch of the lines that were sent, `first` to before `end`, and what went on."""

    name: str
    first: int
    end: int


def speeds(told: Told, lines: Sequence[Line], phases: Sequence[Phase]) -> list[Latency]:
    """From intended send to the handler's first start, lines that are no poison."""
    waits: list[list[int]] = [[] for _ in phases]
    for position, start in told.started_us.items():
        line = told.line_at.get(position)
        if line is None or lines[line].poison:
            continue
        for phase, found in zip(phases, waits, strict=True):
            if phase.first <= line < phase.end:
                found.append(start - told.intended_us[position])
    return [latency(found) for found in waits]


def judged(
    folder: Path,
    told: Told,
    dead: Iterable[int],
    kills: Sequence[Kill],
    limits: Mapping[str, Any],
) -> Account:
    """By the histories of all processes, and by what became of the plan's lines."""
    events: list[HistoryLine] = [
        {"t": kill.at_us, "client": RUN, "op": "kill", "phase": OK, "who": kill.who}
        for kill in kills
    ]
    run = Writer(events.append, now_us)
    run.event("limits", **limits)
    listing = run.invoke("operator", "parked", group=GROUP, lane="dead")
    run.ok(listing, parked=[{"from": at, "to": at} for at in dead], more=False)
    run.event("end", drained=True)
    account = audit(merged(events, read(*sorted(folder.glob(f"*{HISTORY}")))))
    missing = [Breach(CONFIRMED, what) for what in told.unconfirmed]
    return account._replace(breaches=[*account.breaches, *missing])


def report(
    account: Account, phases: Sequence[tuple[str, Latency]], kills: Sequence[Kill], attempts: int
) -> str:
    """The account in words."""
    victims = ", ".join(kill.who for kill in kills)
    again = account.deliveries - account.pushed
    restarts = sum(kill.who == DAEMON for kill in kills)
    rows = [
        ("pushed and confirmed", f"{account.pushed:,}", ""),
        ("acked", f"{account.settled:,}", f"{again} of the deliveries were repeats"),
        ("dead", f"{account.dead:,}", f"each seen failing {attempts} times, less those killed"),
        ("failures", f"{account.failures:,}", "each set aside, retried when idle"),
        ("boots", f"{account.boots}", f"{restarts} restart"),
        ("killed with -9", f"{len(kills)}", victims),
    ]
    lines = ["", "The account, from what went over the sockets:"]
    lines += [f"  {name:22}{number:>8}  {text}".rstrip() for name, number, text in rows]
    lines += ["", "From intended send to handler start, lines that are no poison:"]
    lines += [f"  {name:44}{speed}" for name, speed in phases if speed.messages]
    lines.append("")
    if account.faults:
        return "\n".join([*lines, "WRONG:", *(f"  {fault}" for fault in account.faults)])
    right = "RIGHT: every line acked or dead, nothing lost, first grants in order by (boot, grant)."
    return "\n".join([*lines, right])
