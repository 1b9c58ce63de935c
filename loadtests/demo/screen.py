"""Shows the demo as it happens: a live table on a terminal, plain lines anywhere else.

Owns how things look. Must never know how they came about.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from loadtests.demo.records import now_us

if TYPE_CHECKING:
    from loadtests.demo.picture import Picture

PLAIN_EVERY_US = 2_000_000


class Plain:
    """One line every two seconds, and one for everything that is done to the broker."""

    def __init__(self) -> None:
        self._began_us = now_us()
        self._next_us = 0

    def say(self, text: str) -> None:
        print(f"{(now_us() - self._began_us) / 1e6:5.1f} s  {text}", flush=True)

    def show(self, picture: Picture) -> None:
        if now_us() < self._next_us:
            return
        self._next_us = now_us() + PLAIN_EVERY_US
        recent = picture.recent()
        live = f"live p50 {recent.p50:.1f} p99 {recent.p99:.1f} ms" if recent.messages else ""
        self.say(
            f"sent {picture.sent:6,}  acked {picture.acked:6,}  waiting {picture.waiting:5,}  "
            f"set aside {picture.set_aside:3}  dead {len(picture.dead):3}  {live}"
        )

    def close(self) -> None:
        """Nothing is left open."""


class Table:
    """The same in place, with a row per consumer; needs rich."""

    def __init__(self) -> None:
        from rich.live import Live

        self._said: list[str] = []
        self._began_us = now_us()
        self._live = Live(refresh_per_second=8, transient=True)
        self._live.start()

    def say(self, text: str) -> None:
        self._said.append(f"{(now_us() - self._began_us) / 1e6:5.1f} s  {text}")
        self._live.console.print(self._said[-1], markup=False, highlight=False)

    def show(self, picture: Picture) -> None:
        from rich.console import Group

        self._live.update(Group(self._totals(picture), self._consumers(picture)))

    def close(self) -> None:
        self._live.stop()

    def _totals(self, picture: Picture) -> Any:
        from rich.table import Table as Grid

        recent = picture.recent()
        grid = Grid(title="layby demo", title_justify="left")
        titles = ("sent", "confirmed", "acked", "waiting", "set aside", "dead", "p50 ms", "p99 ms")
        for title in titles:
            grid.add_column(title, justify="right", min_width=9)
        numbers = (
            picture.sent,
            picture.confirmed,
            picture.acked,
            picture.waiting,
            picture.set_aside,
            len(picture.dead),
        )
        speed = [f"{value:.1f}" for value in (recent.p50, recent.p99)] if recent.messages else []
        grid.add_row(*(f"{number:,}" for number in numbers), *speed)
        return grid

    def _consumers(self, picture: Picture) -> Any:
        from rich.table import Table as Grid

        grid = Grid()
        grid.add_column("consumer", min_width=9)
        grid.add_column("", min_width=10)
        for title in ("acked", "failed", "drained"):
            grid.add_column(title, justify="right", min_width=9)
        for name, consumer in sorted(picture.consumers.items()):
            numbers = (consumer.acked, consumer.failed, consumer.drained)
            grid.add_row(name, consumer.state, *(f"{number:,}" for number in numbers))
        return grid


def screen() -> Plain | Table:
    if not sys.stdout.isatty():
        return Plain()
    try:
        return Table()
    except ImportError:
        return Plain()
