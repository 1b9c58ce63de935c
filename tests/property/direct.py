"""A broker without threads, time or network: every effect is carried out at once.

Owns the way from an event to what goes out to clients, and restarts without a word. Must never
know what is right.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from laybyd.core import effects as fx
from laybyd.core import events as ev
from laybyd.core.settings import SECOND, CoreSettings
from laybyd.scheduler.loading import loaded_core
from laybyd.store import records
from laybyd.store.base import NewBlock
from laybyd.store.memory import MemoryStore
from tests.store_reads import answered


class Direct:
    """`step` gives what goes out to clients."""

    def __init__(self, settings: CoreSettings) -> None:
        self._settings = settings
        self.now = 1_700_000_000 * SECOND
        self.store = MemoryStore()
        self.boot()

    def boot(self) -> None:
        store = self.store
        self._fence = store.acquire()
        self.core = loaded_core(self._settings, self._fence, store, self.now)
        self.advance(SECOND)

    def unknown_lease(self) -> bytes:
        return self._fence.boot.to_bytes(4, "big") + (1 << 60).to_bytes(8, "big")

    def step(self, event: ev.Event) -> list[Any]:
        out = self._settle(self.core.step(event, self.now))
        return out + self._settle(self.core.tick(self.now))

    def advance(self, duration_us: int) -> list[Any]:
        until, out = self.now + duration_us, []
        while (deadline := self.core.next_deadline()) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            out += self._settle(self.core.tick(self.now))
        self.now = until
        return out + self._settle(self.core.tick(self.now))

    def _settle(self, effects: list[fx.Effect]) -> list[Any]:
        todo, out = deque(effects), []
        while todo:
            effect = todo.popleft()
            if isinstance(effect, fx.Deliver | fx.Reply | fx.Refuse | fx.Confirm):
                out.append(effect)
            for event in self._carry_out(effect):
                todo.extend(self.core.step(event, self.now))
        return out

    def _carry_out(self, effect: fx.Effect) -> list[ev.Event]:
        store = self.store
        match effect:
            case fx.Append(push):
                body = bytes(push.body)  # type: ignore[call-overload]
                block = NewBlock(push.topic, push.messages, body)
                rows = store.append(self._fence, [block], self.now).rows
                return [ev.NewRows(rows), ev.Stored(((push, rows[0].first),))]
            case fx.Commit(token, ops):
                store.commit_state(self._fence, records.encode(ops, lambda park: b"body"))
                return [ev.Committed(token)]
        return answered(store, effect)
