"""`layby deferred` and `layby dead`: the two lanes of parked messages, under the same verbs.

Owns how parked messages are picked and shown. Must never know when a message is due or why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from layby.cli import trouble
from layby.cli.app import Noun, Setup
from layby.cli.asking import PARKED, YES, confirm, entries, matcher, now_us
from layby.cli.params import POSITIONS
from layby.cli.portrait import portrait, records_of
from layby.cli.ranges import in_requests, merged, pairs_of
from layby.cli.text import plural, relative, size
from layby.cli.trouble import Misused, Trouble

if TYPE_CHECKING:
    from layby import Client

KEYS = (
    "from", "to", "topic", "attempts", "due_us", "bytes", "alone", "generation", "history",
)  # fmt: skip
COLUMNS = ("position", "topic", "attempts", "due", "size", "last reason")

Entry = dict[str, Any]
Pairs = tuple[tuple[int, int], ...]
Command = TypeVar("Command", bound=Callable[..., Any])


class Picked(NamedTuple):
    """Which parked messages are meant."""

    group: str
    lane: str
    positions: Pairs
    topics: tuple[str, ...]
    reason: str
    everything: bool = False

    @property
    def filtered(self) -> bool:
        return bool(self.topics or self.reason)


def _matching(setup: Setup, client: Client, picked: Picked) -> Iterator[Entry]:
    """The entries meant, in order of position."""
    fits = matcher(picked.topics)
    for entry in _entries(setup, client, picked):
        if fits(entry["topic"]) and picked.reason in _reason(entry):
            yield entry


def _entries(setup: Setup, client: Client, picked: Picked) -> Iterator[Entry]:
    of = {"group": picked.group, "lane": picked.lane}
    if not picked.positions:
        yield from entries(setup, client, PARKED, **of)
    for ranges in in_requests(merged(picked.positions)):
        yield from entries(setup, client, PARKED, ranges=ranges, **of)


def _reason(entry: Entry) -> str:
    return entry["history"][-1]["reason"] if entry["history"] else ""


def _options(command: Command) -> Command:
    for option in (
        click.option("--reason", default="", help="Only those whose last reason holds this text."),
        click.option(
            "--topic", "topics", multiple=True, help="Only of these topics; * stands for anything."
        ),
        click.option("--group", "-g", required=True, help="The group they are parked for."),
    ):
        command = option(command)
    return command


POSITION_WORDS = click.argument("positions", nargs=-1, type=POSITIONS, metavar="[POSITION]...")


def lane_commands(lane: str, about: str) -> Noun:
    """The family of verbs for one lane."""
    noun = Noun(lane, help=about)

    @noun.command("ls")
    @_options
    @click.option("-n", "limit", type=click.IntRange(1), help="At most so many.")
    @click.pass_obj
    def list_parked(
        setup: Setup, group: str, topics: tuple[str, ...], reason: str, limit: int | None
    ) -> None:
        """List them in order of position."""
        picked = Picked(group, lane, (), topics, reason)
        with setup.connect() as client:
            found = list(islice(_matching(setup, client, picked), limit))
        _list(setup, picked, found)

    @noun.command("show")
    @click.argument("positions", nargs=-1, type=POSITIONS, required=True, metavar="POSITION...")
    @click.option("--group", "-g", required=True, help="The group they are parked for.")
    @click.pass_obj
    def show_parked(setup: Setup, positions: Pairs, group: str) -> int:
        """Show messages whole: their bytes and what happened to them."""
        with setup.connect() as client:
            return _show(setup, client, Picked(group, lane, positions, (), ""))

    _add_move(noun, lane, "retry", "Hand them out again, with fresh attempts.")
    _add_move(noun, lane, "drop", "Settle them for good and forget their bytes.")
    return noun


def _add_move(noun: Noun, lane: str, verb: str, about: str) -> None:
    @noun.command(verb, help=about + " Name POSITIONs (17 or 10-20), a filter or --all.")
    @POSITION_WORDS
    @_options
    @click.option("--all", "everything", is_flag=True, help="All of the group.")
    @YES
    @click.pass_obj
    def move(setup: Setup, /, yes: bool, **words: Any) -> int:
        return _move(setup, verb, Picked(lane=lane, **words), yes)


def _list(setup: Setup, picked: Picked, found: Sequence[Entry]) -> None:
    now = now_us()
    records = [{key: entry[key] for key in KEYS} for entry in found]
    rows = [
        (
            _span(entry["from"], entry["to"]),
            entry["topic"],
            entry["attempts"],
            relative(entry["due_us"], now) if picked.lane == "deferred" else None,
            size(entry["bytes"]),
            _reason(entry),
        )
        for entry in found
    ]
    setup.out.listing(records, COLUMNS, rows, f"nothing {picked.lane} in group {picked.group}")


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


def _show(setup: Setup, client: Client, picked: Picked) -> int:
    wanted = merged(picked.positions)
    seen = 0
    for record in records_of(setup, client, picked.group, picked.lane, wanted):
        if setup.out.json:
            setup.out.record(record)
        else:
            setup.out.line(("\n" if seen else "") + portrait(record))
        seen += 1
    if not seen:
        raise _not_parked(picked, ", ".join(_span(*pair) for pair in picked.positions))
    asked = sum(last - first + 1 for first, last in wanted)
    return trouble.DONE if seen >= asked else trouble.PARTLY


def _move(setup: Setup, verb: str, picked: Picked, yes: bool) -> int:
    _check_choice(picked)
    with setup.connect() as client:
        pairs = merged(picked.positions)
        if picked.filtered or picked.everything:
            found = _matching(setup, client, picked)
            pairs = merged((entry["from"], entry["to"]) for entry in found)
        if not pairs:
            setup.out.talk(f"nothing {picked.lane} in group {picked.group} fits")
            return _report(setup, verb, picked, 0, [])
        number = sum(last - first + 1 for first, last in pairs)
        what = plural(number, f"{picked.lane} message")
        confirm(f"{verb.capitalize()} {what} of group {picked.group}?", yes)
        done, missing = 0, []
        for ranges in in_requests(pairs):
            answer = setup.request(
                client, verb, group=picked.group, lane=picked.lane, ranges=ranges
            )
            done += answer["done"]
            missing += pairs_of(answer["missing"])
    return _report(setup, verb, picked, done, missing)


def _check_choice(picked: Picked) -> None:
    if not (picked.positions or picked.filtered or picked.everything):
        raise Misused("say which: POSITIONs, --topic, --reason or --all")
    if picked.positions and picked.everything:
        raise Misused("POSITIONs or --all, not both")


def _report(
    setup: Setup, verb: str, picked: Picked, done: int, missing: list[tuple[int, int]]
) -> int:
    gone = ", ".join(_span(*pair) for pair in missing[:5]) + (" …" if missing[5:] else "")
    if missing and not done:
        raise _not_parked(picked, gone)
    setup.out.did(
        {
            "group": picked.group,
            "lane": picked.lane,
            "verb": verb,
            "done": done,
            "missing": [list(pair) for pair in missing],
        },
        f"{verb}: {plural(done, 'message')} of group {picked.group}",
    )
    if not missing:
        return trouble.DONE
    setup.out.talk(f"not {picked.lane}: {gone}")
    return trouble.PARTLY


def _not_parked(picked: Picked, which: str) -> Trouble:
    return Trouble(
        "not_parked",
        f"not {picked.lane} in group {picked.group}: {which}",
        hint=f"`layby {picked.lane} ls --group {picked.group}` lists them.",
    )


deferred = lane_commands("deferred", "Messages set aside to be tried again; alone it lists.")
dead = lane_commands("dead", "Messages given up until an operator acts; alone it lists.")
