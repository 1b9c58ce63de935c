"""A core that knows what the store holds.

Owns the list of what is read at a start. Must never know threads or which store it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from laybyd.core.broker import Broker
from laybyd.store import records

if TYPE_CHECKING:
    from laybyd.core.settings import CoreSettings
    from laybyd.store.base import Fence, Store


def loaded_core(settings: CoreSettings, fence: Fence, store: Store, now: int) -> Broker:
    """Of the store that `fence` was given for. Raises Damaged or Unknown."""
    facts = store.facts()
    return Broker(
        settings,
        fence.boot,
        facts.end,
        facts.start,
        records.load_groups(store),
        store.topics(),
        store.producers(),
        records.load_forgotten(store),
        records.load_next_gid(store),
        fence.boot == 1,
        now,
    )
