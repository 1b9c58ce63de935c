"""`layby status`: is it there, does it take pushes, what does it hold.

Owns the waiting for a broker and the watching of one. Must never know what any figure is made of.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from layby.cli import trouble
from layby.cli.app import TIMEOUT, Setup, Verb
from layby.cli.asking import store_facts
from layby.cli.out import on_terminal
from layby.cli.params import DURATION
from layby.cli.table import Cell
from layby.cli.text import about, size
from layby.cli.trouble import Trouble

if TYPE_CHECKING:
    from layby import Client

KEYS = (
    "state", "version", "uptime_ms", "store", "topics", "groups", "sessions", "deferred", "dead",
    "pins", "refused",
)  # fmt: skip
BETWEEN = 0.1
CLEAR = "\x1b[H\x1b[2J"


@click.command(cls=Verb, short_help="How the broker is, and whether it takes pushes.")
@click.option("--watch", is_flag=True, help="Show it again every second, until Ctrl-C.")
@click.option("--wait", type=DURATION, help="Wait so long for a broker that takes pushes.")
@click.pass_obj
def status(setup: Setup, watch: bool, wait: float | None) -> int:
    """How the broker is; exit 0 when it takes pushes, 75 when not now, 69 when not reachable."""
    if wait is not None:
        wait_until_serving(setup, wait)
    with setup.connect() as client:
        if watch:
            return _watch(setup, client)
        found = ask(setup, client)
        _show(setup, found)
    return trouble.DONE if serves(found) else trouble.TRY_LATER


def ask(setup: Setup, client: Client) -> dict[str, Any]:
    answer = setup.request(client, "status")
    return {**{key: answer[key] for key in KEYS}, "store": store_facts(answer)}


def serves(found: dict[str, Any]) -> bool:
    """Whether it takes pushes."""
    return found["state"] == "serving" and not found["store"]["full"]


def wait_until_serving(setup: Setup, seconds: float) -> None:
    """Return once it takes pushes; raise what stood in the way when it did not in time."""
    from layby.errors import TimedOut, Unreachable

    deadline = time.monotonic() + seconds
    error: Exception = Trouble("unreachable", "no time to ask", status=trouble.UNREACHABLE)
    while (left := deadline - time.monotonic()) > 0:
        try:
            with setup.connect(min(left, TIMEOUT)) as client:
                found = ask(setup, client)
            if serves(found):
                return
            error = _not_serving(found)
        except (Unreachable, TimedOut) as problem:
            error = problem
        time.sleep(min(BETWEEN, max(0.0, deadline - time.monotonic())))
    raise error


def _not_serving(found: dict[str, Any]) -> Trouble:
    state = found["state"] if found["state"] != "serving" else "full"
    return Trouble(
        "store_full" if state == "full" else str(state),
        f"the broker is there and takes no pushes: {state}",
        hint=found["pins"],
        status=trouble.TRY_LATER,
        retryable=True,
    )


def _watch(setup: Setup, client: Client) -> int:
    from layby.errors import LaybyError

    try:
        while True:
            try:
                found = ask(setup, client)
            except LaybyError as error:
                trouble.show_error(error, setup.out.json)
            else:
                if on_terminal() and not setup.out.json:
                    setup.out.line(CLEAR)
                _show(setup, found)
            time.sleep(1.0)
    except KeyboardInterrupt:
        return trouble.DONE


def _show(setup: Setup, found: dict[str, Any]) -> None:
    setup.out.facts(found, _pairs(found))


def _counts(numbers: dict[str, int]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in sorted(numbers.items()))


def _span(start: int, end: int) -> str:
    return f"{start:,} to {end - 1:,}" if start < end else "none yet"


def _pairs(found: dict[str, Any]) -> list[tuple[str, Cell]]:
    store = found["store"]
    return [
        ("state", found["state"]),
        ("version", found["version"]),
        ("up", about(found["uptime_ms"] / 1_000)),
        ("store", f"{store['kind']}, {size(store['used'])} of {size(store['limit'])}"),
        ("id", f"{store['id']}, epoch {store['epoch']}"),
        ("positions", _span(store["start"], store["end"])),
        *((key, found[key]) for key in ("topics", "groups", "sessions", "deferred", "dead")),
        *([("pins", found["pins"])] if found["pins"] else []),
        *([("refused", _counts(found["refused"]))] if found["refused"] else []),
    ]
