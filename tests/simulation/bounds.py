"""Whether the core keeps its memory within what was promised.

Owns the one look behind the door: sizes and sums only, no rule is read from them.
"""

from __future__ import annotations

from laybyd.core import views
from laybyd.core.broker import Broker
from laybyd.core.group import Group
from laybyd.core.settings import CoreSettings
from tests.simulation.audit_log import demand

BATCH_ROWS = 256
"""More rows than one commit of the simulated log ever brings."""


class Bounds:
    """Of one boot. Where `max_out` was lowered more may be out for a while."""

    def __init__(self, settings: CoreSettings) -> None:
        self._settings = settings
        self._max_out: dict[int, int] = {}

    def check(self, core: Broker) -> None:
        for group in core._groups:
            gid, max_out = group.record.gid, group.parts.settings.max_out
            self._max_out[gid] = max(max_out, self._max_out.get(gid, 0))
            _check(group, self._settings, self._max_out[gid])


def _check(group: Group, settings: CoreSettings, max_out: int) -> None:
    parts, name = group.parts, group.record.name
    _at_most(name, "window", len(parts.live.window), settings.window_rows + BATCH_ROWS)
    _at_most(name, "head", len(parts.deferred._order), 3 * settings.head_records + 1)
    _at_most(name, "out", parts.leases.out, max_out)
    _at_most(name, "returned", len(parts.live.returned), max_out)
    _at_most(name, "sessions", len(parts.sessions), settings.sessions_max)
    held = sum(lease.left for lease in parts.leases.live.values())
    demand(held == parts.leases.out, f"{name}: {parts.leases.out} out, leases hold {held}")
    at_work = sum(one.handlers_on_live() for one in parts.sessions.by_key.values())
    counted = parts.load._value
    demand(at_work == counted, f"{name}: {counted} handlers on live work, {at_work} are")


def left(core: Broker) -> int:
    """Messages that by the core's own count are neither settled nor dead."""
    counts = [views.of_group(group) for group in core._groups]
    return sum(one[what] for one in counts for what in ("waiting", "out", "deferred"))


def _at_most(group: str, what: str, size: int, most: int) -> None:
    demand(size <= most, f"{group}: {what} holds {size}, {most} are allowed")
