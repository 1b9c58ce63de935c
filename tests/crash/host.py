"""The real core over the real store, step by step on one thread: what a daemon would answer.

Owns carrying out the core's effects at once. Must never know what the answers should be.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from laybyd.clock import LaybyClock
from laybyd.core import effects as fx
from laybyd.core import events as ev
from laybyd.core.types import Caller
from laybyd.scheduler.appends import Appends
from laybyd.scheduler.bodies import Bodies, buffer_of
from laybyd.scheduler.loading import loaded_core
from laybyd.store import records
from laybyd.store.base import Full
from tests.store_reads import answered

if TYPE_CHECKING:
    from laybyd.core.settings import CoreSettings
    from laybyd.store.base import Fence
    from laybyd.store.lmdb_store import LmdbStore

MAX_BLOCK = 2 << 20


class Host:
    def __init__(self, store: LmdbStore, fence: Fence, settings: CoreSettings) -> None:
        facts = store.facts()
        self._store = store
        self._fence = fence
        self._clock = LaybyClock(max(facts.last_us, records.load_clock(store)))
        self._bodies = Bodies(store, MAX_BLOCK)
        self._core = loaded_core(settings, fence, store, self._clock.now_us())
        self._settle(self._core.tick(self._clock.now_us()))

    def ask(self, event: ev.Event) -> list[Any]:
        """What goes out to clients until nothing is left to do but wait."""
        out = self._settle(self._core.step(event, self._clock.now_us()))
        while not out and (deadline := self._core.next_deadline()) is not None:
            out = self._settle(self._core.tick(max(deadline, self._clock.now_us())))
        return out

    def _settle(self, effects: list[fx.Effect]) -> list[Any]:
        todo, out = deque(effects), []
        while todo:
            effect = todo.popleft()
            if isinstance(effect, fx.Deliver | fx.Reply | fx.Refuse | fx.Confirm):
                out.append(effect)
            for made in self._carry_out(effect):
                todo.extend(self._core.step(made, self._clock.now_us()))
        return out

    def bytes_of(self, gid: int, grant: fx.Grant) -> bytes:
        return bytes(buffer_of(self._bodies.packed(gid, grant.pieces, {})[0]))

    def gid_of(self, group: str) -> int:
        return self._core.gid_of(group)

    def _carry_out(self, effect: fx.Effect) -> list[ev.Event]:
        store = self._store
        match effect:
            case fx.Append(push):
                return self._append(push)
            case fx.Commit(token, ops):
                store.commit_state(self._fence, records.encode(ops, self._body_of))
                return [ev.Committed(token)]
            case fx.Trim(below):
                return [ev.Trimmed(store.trim(self._fence, below), tuple(store.topics()))]
        return answered(store, effect)

    def _append(self, push: ev.Push) -> list[ev.Event]:
        appends = Appends(MAX_BLOCK, 1)
        appends.add(push)
        (placed,) = appends.take(self._clock.now_us()).placed
        try:
            rows = self._store.append(self._fence, [placed.block], self._clock.now_us()).rows
        except Full as full:
            return [ev.NotStored((push,), "store_full", str(full))]
        return [ev.NewRows(rows), ev.Stored(((push, rows[0].first),))]

    def _body_of(self, park: fx.Park) -> bytes | None:
        return bytes(buffer_of(self._bodies.packed(park.record.gid, park.body, {})[0]))


def caller() -> Caller:
    return Caller(b"peer", (), 1)
