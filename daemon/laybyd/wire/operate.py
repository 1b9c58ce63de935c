"""The operators' requests (level 3): which verb takes which fields.

Owns the fields of each verb and of a group's settings, and turns durations into the core's
microseconds. Must never know what a verb does.

`args` of the event hold the fields that were given, by their names on the wire, but for
`start`, which becomes `start` (a word, a position or None) and `start_us` (a time or None), and
`settings`, which become a map of `GroupSettings` field names to numbers in microseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from laybyd.core.events import Operate
from laybyd.core.types import DEAD, DEFERRED, Caller
from laybyd.wire import fields as f
from laybyd.wire import limits as bounds

_MS = f.integer(0, bounds.DURATION_MS_MAX)
_BYTES = f.integer()

_SETTINGS = f.Fields(
    {},
    {
        "lease_ms": f.integer(bounds.LEASE_MS_MIN, bounds.LEASE_MS_MAX),
        "max_handling_ms": f.integer(1, bounds.DURATION_MS_MAX),
        "max_hold_ms": _MS,
        "backoff_ms": f.each(_MS, 1, bounds.BACKOFF_STEPS),
        "max_attempts": f.integer(1, 1_000),
        "live_slice_ms": f.integer(1, bounds.DURATION_MS_MAX),
        "drain_slice_ms": f.integer(1, bounds.DURATION_MS_MAX),
        "hand_back_after_ms": _MS,
        "max_wait_ms": _MS,
        "busy_share_ppm": f.integer(0, 1_000_000),
        "idle_after_ms": _MS,
        "reserve": f.integer(0, bounds.HANDLERS),
        "max_out": f.integer(1),
        "leases_per_session": f.integer(1, bounds.HANDLERS),
        "deferred_bytes": _BYTES,
        "dead_bytes": _BYTES,
    },
    strict=True,
)


def _to_core(settings: dict[str, Any]) -> dict[str, int | tuple[int, ...]]:
    return dict(_setting_to_core(key, value) for key, value in settings.items())


def _setting_to_core(key: str, value: Any) -> tuple[str, int | tuple[int, ...]]:
    if not key.endswith("_ms"):
        return key, value
    key_us = key.removesuffix("_ms") + "_us"
    return key_us, tuple(ms * 1_000 for ms in value) if type(value) is tuple else value * 1_000


def settings_to_wire(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The other way round, for answers: GroupSettings as a map -> names and units of the wire."""
    return dict(_setting_to_wire(key, value) for key, value in settings.items())


def _setting_to_wire(key: str, value: Any) -> tuple[str, Any]:
    if not key.endswith("_us"):
        return key, value
    key_ms = key.removesuffix("_us") + "_ms"
    return key_ms, [us // 1_000 for us in value] if type(value) is tuple else value // 1_000


# ---- the verbs --------------------------------------------------------------------------------

_SETTINGS_MAP = f.within(_SETTINGS, _to_core)
_GROUP = {"group": f.name}
_PAGE = {"after": f.name, "limit": f.integer(1, bounds.PAGE)}
_LANE = {"group": f.name, "lane": f.word(DEFERRED, DEAD)}
_RANGES = f.ranges(bounds.PAIRS)

_VERBS = {
    "status": f.Fields({}, {}),
    "topics": f.Fields({}, _PAGE),
    "topic_delete": f.Fields({"topic": f.name}, {}),
    "groups": f.Fields({}, _PAGE),
    "group": f.Fields(_GROUP, {}),
    "group_create": f.Fields(
        {**_GROUP, "topics": f.patterns}, {"start": f.start, "settings": _SETTINGS_MAP}
    ),
    "group_set": f.Fields(_GROUP, {"topics": f.patterns, "settings": _SETTINGS_MAP}),
    "group_delete": f.Fields(_GROUP, {}),
    "parked": f.Fields(
        _LANE,
        {
            "after": f.integer(),
            "ranges": _RANGES,
            "limit": f.integer(1, bounds.PAGE),
            "bodies": f.flag,
        },
    ),
    "retry": f.Fields({**_LANE, "ranges": _RANGES}, {}),
    "drop": f.Fields({**_LANE, "ranges": _RANGES}, {}),
}


def _maker(verb: str) -> Callable[[Caller, dict[str, Any]], Operate]:
    def make(caller: Caller, args: dict[str, Any]) -> Operate:
        if "start" in args:
            args["start"], args["start_us"] = args["start"]
        return Operate(caller, verb, args)

    return make


OPERATIONS = {verb: (fields, _maker(verb)) for verb, fields in _VERBS.items()}
