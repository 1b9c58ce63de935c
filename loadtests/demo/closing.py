"""The closing account of the demo: what the records say, put before the auditor, and printed.

Owns the way from records to the audit's story. Must never use the broker's own numbers; the only
thing it takes from it is what `layby dead ls` lists, and holds that against the records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from loadtests.audit import DAEMON, Account, Handled, Kill, Pushed, Story, audit
from loadtests.demo.records import Follower
from loadtests.latency import Latency, latency

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from loadtests.demo.lines import Line


class Told(NamedTuple):
    """What the records hold, put together."""

    pushed: list[Pushed]
    handled: list[Handled]
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
        [Pushed(position, lines[line].what) for position, line in line_at.items()],
        _handled(notes),
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


def _handled(notes: Iterable[tuple[str, dict[str, Any]]]) -> list[Handled]:
    """One entry per delivery; a consumer works on one message at a time."""
    open_by: dict[str, Handled] = {}
    handled = []
    for who, note in notes:
        if note["what"] == "begun":
            if who in open_by:
                handled.append(open_by[who])
            open_by[who] = Handled(
                note["position"],
                note["message"],
                who,
                note["boot"],
                note["grant"],
                note["lane"],
                note["deliveries"],
                note["at"],
            )
        elif note["what"] in ("ack", "fail") and who in open_by:
            handled.append(open_by.pop(who)._replace(outcome=note["what"], end_us=note["at"]))
    return handled + list(open_by.values())


class Phase(NamedTuple):
    """A stretch of the lines that were sent, `first` to before `end`, and what went on."""

    name: str
    first: int
    end: int


def speeds(told: Told, lines: Sequence[Line], phases: Sequence[Phase]) -> list[Latency]:
    """From intended send to the handler's first start, lines that are no poison."""
    starts: dict[int, int] = {}
    for record in told.handled:
        starts[record.position] = min(record.start_us, starts.get(record.position, 1 << 62))
    waits: list[list[int]] = [[] for _ in phases]
    for position, start in starts.items():
        line = told.line_at.get(position)
        if line is None or lines[line].poison:
            continue
        for phase, found in zip(phases, waits, strict=True):
            if phase.first <= line < phase.end:
                found.append(start - told.intended_us[position])
    return [latency(found) for found in waits]


def judged(told: Told, dead: Iterable[int], kills: Sequence[Kill], max_attempts: int) -> Account:
    return audit(
        Story(told.pushed, told.handled, frozenset(dead), kills, max_attempts, told.unconfirmed)
    )


def report(
    account: Account, phases: Sequence[tuple[str, Latency]], kills: Sequence[Kill], attempts: int
) -> str:
    """The account in words."""
    victims = ", ".join(kill.who for kill in kills)
    restarts = sum(kill.who == DAEMON for kill in kills)
    rows = [
        ("pushed and confirmed", f"{account.pushed:,}", ""),
        ("acked", f"{account.acked:,}", f"{account.again} of the deliveries were repeats"),
        ("dead", f"{account.dead:,}", f"each seen failing {attempts} times, less those killed"),
        ("failures", f"{account.failures:,}", "each set aside, retried when idle"),
        ("boots", f"{account.boots}", f"{restarts} restart"),
        ("killed with -9", f"{len(kills)}", victims),
    ]
    lines = ["", "The account, from what the consumers wrote down:"]
    lines += [f"  {name:22}{number:>8}  {text}".rstrip() for name, number, text in rows]
    lines += ["", "From intended send to handler start, lines that are no poison:"]
    lines += [f"  {name:44}{speed}" for name, speed in phases if speed.messages]
    lines.append("")
    if account.faults:
        return "\n".join([*lines, "WRONG:", *(f"  {fault}" for fault in account.faults)])
    right = "RIGHT: every line acked or dead, nothing lost, first grants in order by (boot, grant)."
    return "\n".join([*lines, right])
