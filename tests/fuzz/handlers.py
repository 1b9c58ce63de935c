"""A broker without threads: the real decoder, core, assembling, memory store and encoder in a row.

Owns the carrying out of effects, one after the other, and a clock that moves when told. Must never
know where a message came from or what is right about an answer.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from laybyd.core import effects as fx
from laybyd.core import events as ev
from laybyd.core.settings import HOUR, MINUTE, SECOND, CoreSettings, GroupSettings
from laybyd.scheduler.appends import Appends
from laybyd.scheduler.bodies import Bodies
from laybyd.scheduler.delivery import Assembled, Outgoing, assemble
from laybyd.scheduler.loading import loaded_core
from laybyd.store import records
from laybyd.store.base import Full
from laybyd.store.memory import MemoryStore
from laybyd.wire.decode import Hello, Refusal, decode
from laybyd.wire.encode import Greeting, encode, encode_hello, encode_refusal
from laybyd.wire.limits import Limits
from tests.store_reads import answered

if TYPE_CHECKING:
    from collections.abc import Iterable

    from laybyd.core.effects import Effect

LIMITS = Limits()
SETTINGS = CoreSettings(
    group=GroupSettings(
        lease_us=5 * SECOND,
        backoff_us=(SECOND, MINUTE),
        max_attempts=3,
        max_out=2_000,
        leases_per_session=6,
        deferred_bytes=64 << 10,
        dead_bytes=64 << 10,
    ),
    restart_grace_us=0,
    groups_max=12,
    sessions_max=40,
    producers_max=30,
    producer_history=64,
    producer_in_flight_max=16,
    producer_kept_us=HOUR,
    quiesce_us=SECOND,
)
STORE_BYTES = 4 << 20

Frames = list[Any]
Answered = fx.Deliver | fx.ReadOut | fx.Reply


class Handlers:
    """`answers` are the frames that would be sent since they were last taken."""

    def __init__(self) -> None:
        self.now = 1_700_000_000 * SECOND
        self.store = MemoryStore(STORE_BYTES)
        self.answers: list[Frames] = []
        self.delivered: list[fx.Deliver] = []
        self.unheard: list[bytes] = []
        self.unsendable = False
        self.boot()

    def boot(self) -> None:
        """A start on whatever the store holds."""
        store = self.store
        self.fence = store.acquire()
        self._greeting = Greeting("layby", self.fence.store_id, 1, self.fence.boot, LIMITS)
        self._bodies = Bodies(store, LIMITS.max_block)
        self._appends = Appends(LIMITS.max_block, LIMITS.max_messages)
        self._room = (False, False)
        self._refusing = False
        self.quiesced = False
        self.core = loaded_core(SETTINGS, self.fence, store, self.now)
        self._run(self.core.tick(self.now))

    # ---- what the front-end does

    def decoded(self, frames: Frames) -> ev.Event | Hello | None:
        """The event; None when the message was refused, and its answer is there."""
        try:
            return decode(frames, LIMITS)
        except Refusal as refusal:
            self.answers.append(encode_refusal(refusal, self.fence.boot))
            return None

    def take(self, event: ev.Event | Hello) -> None:
        """Its turn, and what is due by then."""
        if isinstance(event, Hello):
            self.answers.append(encode_hello(event, self._greeting))
            return
        self.now += 1
        self._run(self.core.step(event, self.now))
        due = self.core.next_deadline()
        if due is not None and due <= self.now:
            self._run(self.core.tick(self.now))

    def pass_time(self, duration_us: int) -> None:
        until = self.now + duration_us
        for _ in range(10_000):
            due = self.core.next_deadline()
            if due is None or due > until:
                break
            self.now = max(self.now, due)
            self._run(self.core.tick(self.now))
        else:
            raise AssertionError("the deadlines do not move on")
        self.now = until

    def quiesce(self) -> None:
        """Stop politely: all that waits is answered."""
        self.take(ev.Quiesce())
        self.pass_time(2 * SETTINGS.quiesce_us)

    # ---- what threads do

    def _run(self, effects: Iterable[Effect]) -> None:
        todo = deque(effects)
        while todo or self._appends:
            events = self._carry_out(todo.popleft()) if todo else self._append()
            for event in events:
                todo.extend(self.core.step(event, self.now))

    def _carry_out(self, effect: Effect) -> Iterable[ev.Event]:
        match effect:
            case fx.Append(push):
                self._appends.add(push)
            case fx.ResumeAppends():
                refused = self._append() if self._appends else ()
                self._refusing = False
                return refused
            case fx.Confirm() | fx.Refuse():
                return self._send(Outgoing(effect))
            case fx.Deliver() | fx.ReadOut() | fx.Reply():
                return self._answer(effect)
            case fx.Quiesced():
                self.quiesced = True
            case fx.Note():
                pass
            case _:
                return self._stored(effect)
        return ()

    def _stored(self, effect: Effect) -> Iterable[ev.Event]:
        store = self.store
        match effect:
            case fx.Commit(token, ops):
                store.commit_state(self.fence, records.encode(ops, self._body_of))
                return [ev.Committed(token), *self._space()]
            case fx.Trim(below):
                start = store.trim(self.fence, below)
                return [ev.Trimmed(start, tuple(store.topics())), *self._space()]
        found = answered(store, effect)
        assert found, f"nobody carries out {effect}"
        return found

    def _body_of(self, park: fx.Park) -> bytes:
        body, kept = self._bodies.packed(park.record.gid, park.body, {})
        assert kept == len(park.body), "parked more than fits one block"
        return bytes(body)  # type: ignore[call-overload,no-any-return]

    def _append(self) -> Iterable[ev.Event]:
        group = self._appends.take(self.now)
        text = "an earlier push was refused"
        if not self._refusing:
            try:
                blocks = [placed.block for placed in group.placed]
                rows = self.store.append(self.fence, blocks, self.now).rows
            except Full as full:
                self._refusing, text = True, str(full)
            else:
                pairs = zip(group.placed, rows, strict=True)
                pushes = tuple(push for placed, row in pairs for push in placed.stored(row))
                return [ev.NewRows(rows), ev.Stored(pushes), *self._space()]
        return [ev.NotStored(group.pushes, "store_full", text), *self._space()]

    def _space(self) -> Iterable[ev.Event]:
        room = self.store.room()
        if self._room == (room.log_full, room.state_full):
            return ()
        self._room = (room.log_full, room.state_full)
        return (ev.Space(*self._room, room.used, room.limit),)

    def _answer(self, effect: Answered) -> Iterable[ev.Event]:
        gid = self.core.gid_of(effect.group) if isinstance(effect, fx.Deliver) else 0
        made: Assembled = assemble(self._bodies, gid, effect, {})
        unheard = self._send(made.outgoing) if made.outgoing is not None else ()
        return (*made.events, *unheard)

    def _send(self, outgoing: Outgoing) -> Iterable[ev.Event]:
        effect = outgoing.effect
        if self.unsendable and isinstance(effect, fx.Deliver) and effect.leases:
            self.unsendable = False
            self.unheard.append(effect.caller.peer)
            return (ev.Undelivered(effect.caller, effect.group, effect.lease_ids),)
        self.answers.append(encode(effect, outgoing.blocks, self.fence.boot))
        if isinstance(effect, fx.Deliver) and effect.leases:
            self.delivered.append(effect)
        return ()
