"""What can be taken away from a plan: each fault, each client, each tiny limit, by a name.

Owns the names. A plan is drawn whole and cut afterwards, so that what is left stays as it was.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from laybyd.core.settings import CoreSettings, GroupSettings
from tests.simulation.workload import QUICK, Plan

CLIENTS = ("sessions", "consumers", "sequencers", "producers")
NETWORK = {"lose": 0.0, "repeat": 0.0, "delay_us": 100}
HABITS = {
    "lies": 0.0,
    "forgets": 0.0,
    "batches": 0.0,
    "hands_back": False,
    "rides": False,
    "tells_us": 0,
}
NATURES = {"killer": 0, "stuck": 0, "poison": 0, "moody": 0.0}
WHOLE: dict[str, dict[str, Any]] = {
    "operators": {"operate_us": 0},
    "deletes": {"delete_us": 0},
    "removals": {"remove_us": 0},
    "changes": {"change_us": 0},
    "readers": {"readers": 0},
    "pace": {"pace": QUICK},
}
OTHERS = (*WHOLE, "times", "moves")


def names(plan: Plan, gone: tuple[str, ...]) -> list[str]:
    """Everything that can still be taken away, what takes most with it first."""
    every = [f"{kind}.{at}" for kind in CLIENTS for at in range(len(getattr(plan, kind)))]
    every += [*OTHERS, *_fields(plan.chaos), *NETWORK, *HABITS, *NATURES, "limits"]
    limits = (*_fields(plan.settings), *_fields(plan.settings.group))
    every += [f"limits.{name}" for name in limits]
    left = cut(plan, gone)
    return [name for name in every if cut(plan, (*gone, name)) != left]


def cut(plan: Plan, gone: Iterable[str]) -> Plan:
    """Raises KeyError for a name that means nothing."""
    left_out: dict[str, set[int]] = {kind: set() for kind in CLIENTS}
    for name in gone:
        kind, _, rest = name.partition(".")
        if kind in left_out:
            left_out[kind].add(int(rest))
        elif kind == "limits":
            plan = plan._replace(settings=_roomy(plan.settings, rest))
        else:
            plan = _without(plan, name)
    return plan._replace(
        **{
            kind: tuple(one for at, one in enumerate(getattr(plan, kind)) if at not in numbers)
            for kind, numbers in left_out.items()
        }
    )


def _without(plan: Plan, name: str) -> Plan:
    if name in WHOLE:
        return plan._replace(**WHOLE[name])
    if name == "times":
        return _ways(plan, start_us=None)
    if name == "moves":
        stay = tuple(habits._replace(moves=0.0) for habits in plan.sequencers)
        return plan._replace(sequencers=stay)
    if name in NETWORK:
        return plan._replace(faults=plan.faults._replace(**{name: NETWORK[name]}))
    if name in HABITS:
        return _ways(plan, **{name: HABITS[name]})
    if name in NATURES:
        ways = (*plan.consumers, *plan.sessions)
        handling = {way.handling: way.handling._replace(**{name: NATURES[name]}) for way in ways}
        return _ways(plan, handling=handling)
    if name in plan.chaos._fields:
        return plan._replace(chaos=plan.chaos._replace(**{name: 0}))
    raise KeyError(name)


def _ways(plan: Plan, **change: Any) -> Plan:
    def changed(way: Any) -> Any:
        return way._replace(
            **{
                name: to[getattr(way, name)] if isinstance(to, dict) else to
                for name, to in change.items()
            }
        )

    return plan._replace(
        consumers=tuple(map(changed, plan.consumers)),
        sessions=tuple(map(changed, plan.sessions)),
    )


def _roomy(settings: CoreSettings, name: str) -> CoreSettings:
    """The limit as it comes with the broker; without a name, every limit."""
    if not name:
        return CoreSettings()
    if name in GroupSettings._fields:
        group = settings.group._replace(**{name: getattr(GroupSettings(), name)})
        return settings._replace(group=group)
    return settings._replace(**{name: getattr(CoreSettings(), name)})


def _fields(values: Any) -> list[str]:
    return [name for name in values._fields if name != "group"]
