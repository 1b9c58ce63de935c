"""Where each effect of the core goes: a writer, a reader, the ring, the front-end.

Owns the table of destinations and what is under way at the log writer. Must never decide what is
delivered. Used by whoever has the turn.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from laybyd.core import effects as fx
from laybyd.core.events import Event, Fetched, Fetching, Operate, Push, Request
from laybyd.log import Throttle
from laybyd.scheduler.appends import held_bytes
from laybyd.scheduler.delivery import Assembled, Outgoing, assemble, needs_state, pieces_of
from laybyd.scheduler.log_writer import LogWriter, ResumeJob, TrimJob, Written
from laybyd.scheduler.reader import AssembleJob, Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from laybyd.scheduler.appends import Appends, Group
    from laybyd.scheduler.bodies import Bodies
    from laybyd.scheduler.ring import Ring
    from laybyd.scheduler.state_thread import StateThread
    from laybyd.store.base import Fence, Store

log = logging.getLogger("laybyd")

INLINE_BYTES = 16 << 10
"""A lone push up to this size is committed in the turn that stepped it when the writer has nothing
in hand: one hand-over and one wake-up less than the writer's way."""


class Workers(NamedTuple):
    """The threads that do what the loops must not wait for."""

    writer: LogWriter
    state: StateThread
    reader: Reader


class Outlets(NamedTuple):
    """Who is told what: the group numbers come from the core; `send` gives a turn's answers to
    the front-end; `push_done` says how many pushed bytes are no longer pending, `request_done` of
    which connection another request has been stepped; `quiesced` is called once when the core
    says so; `counters` are the front-end's, for `status`."""

    gid_of: Callable[[str], int]
    send: Callable[[list[Outgoing]], None]
    push_done: Callable[[int], None]
    request_done: Callable[[bytes], None]
    quiesced: Callable[[], None]
    counters: Mapping[str, int]


class Dispatch:
    """One turn: `run` for each step's effects, `append` once, `flush` once. `bulk_us` is when more
    than a small group was last appended."""

    def __init__(
        self,
        store: Store,
        fence: Fence,
        workers: Workers,
        bodies: Bodies,
        ring: Ring,
        appends: Appends,
        outlets: Outlets,
    ) -> None:
        self._store = store
        self._fence = fence
        self._workers = workers
        self._bodies = bodies
        self._ring = ring
        self._appends = appends
        self._outlets = outlets
        self._throttle = Throttle(log)
        self._out: list[Outgoing] = []
        self._follow_ups: list[Event] = []
        self._in_flight = 0
        self._event: Event | None = None
        self._now_us = 0
        self.bulk_us = -(1 << 53)
        self._to = self._destinations()

    def _destinations(self) -> dict[type, Callable[[Any], None]]:
        workers = self._workers
        return {
            fx.Append: lambda effect: self._appends.add(effect.push),
            fx.ResumeAppends: self._resume,
            fx.Trim: lambda effect: workers.writer.put(TrimJob(effect.below)),
            fx.LoadRows: workers.reader.put,
            fx.FindTime: workers.reader.put,
            fx.Commit: workers.state.put,
            fx.LoadDue: workers.state.put,
            fx.FindParked: workers.state.put,
            fx.Deliver: self._deliver,
            fx.ReadOut: self._deliver,
            fx.Reply: self._reply,
            fx.Confirm: self._answer,
            fx.Refuse: self._answer,
            fx.Note: self._note,
            fx.Quiesced: lambda effect: self._outlets.quiesced(),
        }

    @property
    def append_bytes(self) -> int:
        return self._appends.size

    def run(self, made: Sequence[fx.Effect], now_us: int, event: Event | None = None) -> None:
        self._now_us = now_us
        self._event = event
        if type(event) is Push:
            if not (made and type(made[0]) is fx.Append):
                self._outlets.push_done(held_bytes(event))
        elif isinstance(event, Request):
            self._outlets.request_done(event.caller.peer)
        for effect in made:
            self._to[type(effect)](effect)

    def append(self, now_us: int, alone: bool) -> Sequence[Event]:
        """Hand the turn's pushes to the log writer; or commit a lone small one here and now."""
        if not self._appends:
            return ()
        group = self._appends.take(now_us)
        self._in_flight += 1
        writer = self._workers.writer
        if not _is_small(group):
            self.bulk_us = now_us
        elif alone and self._in_flight == 1 and writer.is_idle:
            return self.written(writer.commit([group]))
        writer.put(group)
        return ()

    def written(self, written: Written) -> Sequence[Event]:
        self._in_flight -= written.groups
        self._outlets.push_done(written.held)
        for row, body in written.bodies:
            self._ring.add(row.first, body, row.size)
        return written.events

    def assembled(self, assembled: Assembled) -> Sequence[Event]:
        if assembled.outgoing is not None:
            self._out.append(assembled.outgoing)
        return assembled.events

    def fetched(self, assembled: Assembled) -> Sequence[Event]:
        """By another thread: the core has been told to wait for it."""
        events = self.assembled(assembled)
        effect = assembled.outgoing and assembled.outgoing.effect
        if isinstance(effect, fx.Deliver):
            return (*events, Fetched(effect.group, effect.lease_ids))
        return events

    def flush(self) -> None:
        if self._out:
            self._outlets.send(self._out)
            self._out = []

    def follow_ups(self) -> list[Event]:
        """What assembling on this thread has found out, for the core's next turn."""
        events, self._follow_ups = self._follow_ups, []
        return events

    def _resume(self, _: fx.ResumeAppends) -> None:
        """What this turn took before it heard of the failure belongs behind the failure."""
        self.append(self._now_us, alone=False)
        self._workers.writer.put(ResumeJob())

    def _note(self, effect: fx.Note) -> None:
        known = ", ".join(f"{name} {value}" for name, value in effect.fields.items())
        text = f"{effect.event.replace('_', ' ')}: {known}"
        self._throttle.log(logging.WARNING, effect.event, text, **effect.fields)

    def _answer(self, effect: fx.Confirm | fx.Refuse) -> None:
        self._out.append(Outgoing(effect))

    def _reply(self, effect: fx.Reply) -> None:
        if isinstance(self._event, Operate) and self._event.verb == "status":
            effect = effect._replace(fields=self._with_store_facts(effect))
        self._deliver(effect)

    def _with_store_facts(self, effect: fx.Reply) -> dict[str, object]:
        known = self._store.facts()
        fence = self._fence
        store = {
            "kind": known.kind,
            "id": fence.store_id,
            "epoch": fence.epoch,
            "start": known.start,
            "end": known.end,
            "used": known.used,
            "limit": known.limit,
            "segments": known.segments,
            "full": self._store.room().log_full,
        }
        return {**effect.fields, "store": store, "refused": dict(self._outlets.counters)}

    def _deliver(self, effect: fx.Deliver | fx.ReadOut | fx.Reply) -> None:
        """At once when every byte is in the ring; else by the thread that may read it."""
        wanted = [piece.block for piece in pieces_of(effect)]
        if not wanted:
            self._out.append(Outgoing(effect))
            return
        gid = self._outlets.gid_of(effect.group) if isinstance(effect, fx.Deliver) else 0
        if needs_state(effect):
            self._fetch(self._workers.state, AssembleJob(effect, gid, {}))
            return
        hits = {block: body for block in wanted if (body := self._ring.get(block)) is not None}
        if len(hits) < len(set(wanted)):
            self._fetch(self._workers.reader, AssembleJob(effect, gid, hits))
            return
        self._follow_ups += self.assembled(assemble(self._bodies, gid, effect, hits))

    def _fetch(self, worker: StateThread | Reader, job: AssembleJob) -> None:
        worker.put(job)
        if isinstance(job.effect, fx.Deliver):
            self._follow_ups.append(Fetching(job.effect.group, job.effect.lease_ids))


def _is_small(group: Group) -> bool:
    return len(group.placed) == 1 and group.size <= INLINE_BYTES
