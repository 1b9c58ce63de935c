"""What a store answers to those effects of the core that only read.

Owns that table, for hosts of the core without threads. Must never write.
"""

from __future__ import annotations

from laybyd.core import effects as fx
from laybyd.core import events as ev
from laybyd.store import records
from laybyd.store.base import Store


def answered(store: Store, effect: fx.Effect) -> list[ev.Event]:
    """Nothing for an effect that asks for something else."""
    match effect:
        case fx.LoadDue(group, gid, after, limit):
            found, more = records.load_due(store, gid, after, limit)
            return [ev.DueLoaded(group, tuple(found), more)]
        case fx.FindParked(token, gid, lane, ranges, after, limit):
            found, more = records.find_parked(store, gid, lane, ranges, after, limit)
            return [ev.ParkedFound(token, tuple(found), more)]
        case fx.LoadRows(who, first, limit):
            rows, upto = store.rows(first, limit)
            return [ev.RowsLoaded(who, first, tuple(rows), upto)]
        case fx.FindTime(who, at_us):
            return [ev.PositionFound(who, store.find_time(at_us))]
    return []
