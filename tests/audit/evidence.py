"""A history put together: calls from their lines, the run's events, the limits it stated.

Owns joining lines. Must never judge. `NEVER` is the time of what did not come.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.audit.history import FAIL, INVOKE, OK, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tests.audit.history import Line

NEVER = 1 << 62
MS = 1_000


class Breach(NamedTuple):
    """A broken promise: which, what happened, and the lines that prove it."""

    promise: str
    text: str
    lines: Sequence[Line] = ()


class Call:
    """A request from its sending, at `t0`, to its answer, at `t1`. `late`: the answer came when
    nobody waited for it any more."""

    __slots__ = ("asked", "end", "late")

    def __init__(self, asked: Line) -> None:
        self.asked = asked
        self.end: Line | None = None
        self.late = False

    @property
    def client(self) -> str:
        return str(self.asked["client"])

    @property
    def t0(self) -> int:
        return int(self.asked["t"])

    @property
    def t1(self) -> int:
        """When the answer was there; nobody knows when, or whether, what has none was done."""
        return int(self.end["t"]) if self.end is not None else NEVER

    @property
    def ok(self) -> bool:
        return self.end is not None and self.end["phase"] == OK

    @property
    def refused(self) -> bool:
        return self.end is not None and self.end["phase"] == FAIL

    @property
    def lines(self) -> list[Line]:
        return [self.asked] if self.end is None else [self.asked, self.end]

    def __getitem__(self, key: str) -> Any:
        return self.asked[key]

    def get(self, key: str, default: Any = None) -> Any:
        return self.asked.get(key, default)

    def said(self, key: str, default: Any = None) -> Any:
        """A field of the answer."""
        return default if self.end is None else self.end.get(key, default)


class Case:
    """All calls and events of a history, by operation, in order of time."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self.calls: dict[str, list[Call]] = defaultdict(list)
        self.events: dict[str, list[Line]] = defaultdict(list)
        self.strays: list[Line] = []
        self.lines = sorted(lines, key=lambda line: line["t"])
        self._open: dict[tuple[str, int], Call] = {}
        for line in self.lines:
            self._take(line)
        self._limits: dict[str | None, dict[str, Any]] = defaultdict(dict)
        for line in self.events["limits"]:
            self._limits[line.get("group")].update(line)

    def _take(self, line: Line) -> None:
        if "call" not in line:
            self.events[line["op"]].append(line)
            return
        key = line["client"], line["call"]
        if line["phase"] == INVOKE:
            self._open[key] = call = Call(line)
            self.calls[line["op"]].append(call)
        elif (call := self._open.get(key)) is None:
            self.strays.append(line)
        elif line["phase"] == UNKNOWN:
            call.late = call.end is None
        elif call.end is None:
            call.end = line

    def of(self, *ops: str) -> Iterator[Call]:
        for op in ops:
            yield from self.calls.get(op, ())

    def limits(self, group: str) -> dict[str, Any]:
        return self._limits[None] | self._limits[group]

    @property
    def ended(self) -> Line | None:
        """The line that says that everything must have come right."""
        return next((line for line in self.events["end"] if line.get("drained")), None)

    def calm_since(self) -> int:
        """When the last fault was over; NEVER while they go on."""
        states = self.events["faults"]
        if not states:
            return 0
        return NEVER if states[-1]["on"] else int(states[-1]["t"])


def positions(ranges: Sequence[int]) -> Iterator[int]:
    """[from, to, from, to, ...] one by one."""
    for first, last in zip(ranges[::2], ranges[1::2], strict=True):
        yield from range(first, last + 1)
