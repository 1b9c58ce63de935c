"""What a group has decided and not yet committed, and who waits for the commit.

Owns the batches: ops gather, are flushed as one Commit, and become durable in that order. Must
never know why an op was made or what an answer says.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple, Protocol

from laybyd.core.account import Account
from laybyd.core.effects import Commit, Delta, Effect, Park, Snapshot, StateOp
from laybyd.core.floor import Floor
from laybyd.core.intervals import RangeSet
from laybyd.core.settings import SECOND, CoreSettings
from laybyd.core.tokens import Tokens

SKIP_FLUSH_US = SECOND
"""Ranges a group never wanted are found again after a crash: they only let the log be trimmed."""

RANGE_BYTES = 16
DELTAS_MAX = 256
DELTA_BYTES_MAX = 64 << 10


class Owner(Protocol):
    def committed(self) -> None: ...


class _Flight(NamedTuple):
    batch: int
    need: int
    waiters: list[Effect]


class Journal:
    """`batch` is being gathered; batches up to `durable` are committed. `need` is the lowest log
    position that the committed state refers to."""

    def __init__(
        self,
        gid: int,
        floor: Floor,
        account: Account,
        tokens: Tokens[Owner],
        out: list[Effect],
        settings: CoreSettings,
    ) -> None:
        self._gid = gid
        self._floor = floor
        self._account = account
        self._tokens = tokens
        self._out = out
        self._settings = settings
        self.batch = 1
        self.durable = 0
        self.need = account.need(floor.position)
        self.flush_at: int | None = None
        self._flights: deque[_Flight] = deque()
        self._begin()
        self._deltas = 0
        self._delta_bytes = 0
        self._number = 0

    def _begin(self) -> None:
        self._ops: list[StateOp] = []
        self._bodies: set[int] = set()
        self._ranges = RangeSet()
        self._changes = 0
        self._waiters: list[Effect] = []
        self.flush_at = None

    def settle(self, first: int, last: int, now: int) -> None:
        self._floor.settle(first, last)
        self._ranges.add(first, last)
        self._changed(now)

    def skip(self, first: int, last: int, now: int) -> None:
        self._floor.settle(first, last)
        self._ranges.add(first, last)
        self._flush_by(now + SKIP_FLUSH_US)

    def add(self, op: StateOp, now: int) -> None:
        if isinstance(op, Park) and op.body:
            self._bodies.add(op.record.block)
        self._ops.append(op)
        self._changed(now)

    def reads_body(self, block: int) -> None:
        """Bytes are cut from what is stored *before* a commit: what this batch has put must be
        flushed before it is cut again."""
        if block in self._bodies:
            self.flush()

    def _changed(self, now: int) -> None:
        self._changes += 1
        if self._changes >= self._settings.settle_flush_deltas:
            self._flush_by(now)
        else:
            self._flush_by(now + self._settings.settle_flush_us)

    def _flush_by(self, at: int) -> None:
        if self.flush_at is None or at < self.flush_at:
            self.flush_at = at

    # ---- who waits ------------------------------------------------------------------------------

    def barrier(self) -> int:
        """The batch whose commit makes everything up to now durable. Skipped ranges promise
        nothing to anybody: an answer does not wait for their slow flush."""
        return self.batch if self._changes else self.batch - 1

    def after(self, batch: int, effect: Effect, hurry: bool = True) -> bool:
        """Let the effect go once the batch is durable; `hurry` flushes for it. Gives whether it
        went at once."""
        if batch <= self.durable:
            self._out.append(effect)
            return True
        if batch < self.batch:
            self._flights[batch - self._flights[0].batch].waiters.append(effect)
        else:
            self._waiters.append(effect)
            if hurry:
                self.flush()
        return False

    # ---- commits --------------------------------------------------------------------------------

    @property
    def clean(self) -> bool:
        return self.flush_at is None and not self._flights

    def flush_due(self, now: int) -> None:
        if self.flush_at is not None and self.flush_at <= now:
            self.flush()

    def flush(self) -> None:
        if self.flush_at is None:
            return
        ops = [*self._ranges_op(), *self._ops]
        if self._account.changed:
            self._account.changed = False
            ops.append(self._account.op(self._gid))
        need = self._account.need(self._floor.position)
        self._out.append(Commit(self._tokens.take(self), tuple(ops)))
        self._flights.append(_Flight(self.batch, need, self._waiters))
        self.batch += 1
        self._begin()

    def _ranges_op(self) -> list[StateOp]:
        if not self._ranges:
            return []
        self._number += 1
        done = self._floor.done
        if self._delta_bytes > max(DELTA_BYTES_MAX, RANGE_BYTES * len(done)) or (
            self._deltas >= DELTAS_MAX
        ):
            self._deltas = self._delta_bytes = 0
            return [Snapshot(self._gid, self._number, self._floor.position, tuple(done))]
        self._deltas += 1
        self._delta_bytes += RANGE_BYTES * len(self._ranges)
        return [Delta(self._gid, self._number, tuple(self._ranges))]

    def committed(self) -> None:
        """The oldest batch under way is durable."""
        flight = self._flights.popleft()
        assert flight.batch == self.durable + 1, "commits became durable out of order"
        self.durable = flight.batch
        self.need = flight.need
        self._out += flight.waiters
