"""The daemon around the core, as one simulated process: turns, threads, crashes, restarts.

Owns what a process loses when it dies. Drives the core as the scheduler does: events first, then
deadlines; effects in order; a turn that comes late moves the leases out. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from laybyd.clock import LaybyClock
from laybyd.core import effects as fx
from laybyd.core.broker import Broker
from laybyd.core.events import (
    Event,
    Fetched,
    Fetching,
    Late,
    PositionFound,
    Push,
    Quiesce,
    RowsLoaded,
    Shortened,
    Undelivered,
    Unmade,
)
from laybyd.core.settings import CoreSettings
from laybyd.core.types import LIVE, Caller
from laybyd.scheduler.loading import loaded_core
from laybyd.store import records
from laybyd.store.memory import MemoryStore
from tests.simulation.bounds import Bounds
from tests.simulation.log_side import LogSide
from tests.simulation.network import Answer, Network
from tests.simulation.state_side import Assemble, Bytes, Damage, DamagedBlock, StateSide
from tests.simulation.worker import Worker
from tests.simulation.world import SECOND, World

LATE_US = SECOND


class Died(Exception):
    """The process ends here, in the middle of whatever it was doing."""


class Pace(NamedTuple):
    """Mean times of the threads' steps, and the chance that an answer is too big for a block."""

    turn_us: int
    append_us: int
    state_us: int
    read_us: int
    shorten: float


class Watcher:
    """What the auditor sees of the process: everything that passes the core's door."""

    def booted(self, boot: int, store: MemoryStore, now: int, moved_us: int) -> None: ...
    def died(self) -> None: ...
    def event(self, event: Event, now: int) -> None: ...
    def effect(self, effect: fx.Effect, now: int) -> None: ...
    def sent(self, effect: fx.Deliver, values: tuple[tuple[int, ...], ...]) -> None: ...
    def unreadable(self, effect: fx.Deliver) -> None: ...


class BrokerHost:
    def __init__(
        self,
        world: World,
        network: Network,
        settings: CoreSettings,
        pace: Pace,
        store: MemoryStore,
        watcher: Watcher,
    ) -> None:
        self.world = world
        self.core: Broker | None = None
        self.boot = 0
        self.damage = Damage(set(), set())
        self.quiesced = False
        self.died: Callable[[], None] = lambda: None
        self._network = network
        self._settings = settings
        self._pace = pace
        self._store = store
        self._watcher = watcher
        self._life = 0
        self._frozen_until = 0
        self._jumped_us = 0
        self._clock = self._wound_up()
        self._fuse = 0
        network.deliver = self._request
        self._go = self._ways()

    def _ways(self) -> dict[type, Callable[[Any], None]]:
        return {
            fx.Append: lambda effect: self._appends.append(effect.push),
            fx.ResumeAppends: self._to_log,
            fx.Trim: self._to_log,
            fx.LoadRows: lambda effect: self._reader.soon(self._load_rows, effect),
            fx.FindTime: lambda effect: self._reader.soon(self._find_time, effect),
            fx.Commit: lambda effect: self._state.put(effect),
            fx.LoadDue: lambda effect: self._state.put(effect),
            fx.FindParked: lambda effect: self._state.put(effect),
            fx.Deliver: self._deliver,
            fx.ReadOut: self._answer,
            fx.Reply: self._answer,
            fx.Confirm: self._answer,
            fx.Refuse: self._answer,
            fx.Note: lambda effect: self.world.note("note", effect),
            fx.Quiesced: self._note_quiesced,
        }

    # ---- living -----------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """The time by the process's own clock."""
        return self._clock.now_us()

    def _wound_up(self) -> LaybyClock:
        """As the daemon makes it: however far the wall went back, not before what is stored."""
        last_us = max(self._store.facts().last_us, records.load_clock(self._store))
        world = self.world
        return LaybyClock(
            last_us, wall=lambda: world.now + self._jumped_us, monotonic=lambda: world.now
        )

    def start(self, jump_us: int = 0) -> None:
        """`jump_us`: so much the wall clock was moved while the process was not there."""
        self._jumped_us += jump_us
        before_us, self._clock = self.now, self._wound_up()
        store, now = self._store, self.now
        fence = store.acquire()
        self.boot, self.quiesced = fence.boot, False
        self._inbox: list[Event] = []
        self._appends: list[Push] = []
        self._cuts: dict[bytes, int] = {}
        self._turning = self._is_late = False
        self._follow_ups: list[Event] = []
        self._turned_us = now
        self._bounds = Bounds(self._settings)
        self._alarm: int | None = None
        self._log = LogSide(store, fence, Worker(self, self._pace.append_us))
        self._bytes = Bytes(store, self.damage)
        self._state = StateSide(
            store, fence, self._bytes, Worker(self, self._pace.state_us), self._fetched
        )
        self._reader = Worker(self, self._pace.read_us)
        self._network.restart()
        self._watcher.booted(fence.boot, store, self.world.now, now - before_us)
        self.core = loaded_core(self._settings, fence, store, now)
        self._fuse = 0
        self.later(0, self._turn)

    def crash(self) -> None:
        """What was being written is on the disk, or it is not, or its first part is."""
        if self.core is not None:
            self.world.note("host", "crash")
            self.core = None
            self._life += 1
            self._frozen_until = 0
            self._store.auto_sync = False
            log, state = self._log.dying(), self._state.dying()
            self._store.crash(self.world.between(0, log), self.world.between(0, state))
            self._store.auto_sync = True
            self._watcher.died()

    def crash_after(self, effects: int) -> None:
        """As soon as so many more things are done, in the middle of a turn or right after a
        commit."""
        self._fuse = effects

    def hazard(self) -> None:
        if self._fuse:
            self._fuse -= 1
            if not self._fuse:
                raise Died

    def freeze(self, duration_us: int) -> None:
        """As SIGSTOP: nothing of the process runs, its sockets fill."""
        self.world.note("host", f"frozen for {duration_us} us")
        self._frozen_until = max(self._frozen_until, self.world.now + duration_us)

    @property
    def frozen_until(self) -> int:
        """The end of the last time it stood still; 0 when it has not since its start."""
        return self._frozen_until

    def set_full(self, log: bool, state: bool) -> None:
        self._store.set_full(log, state)
        if self.core is not None:
            self.later(0, self._log.look)

    def quiesce(self) -> None:
        self.receive([Quiesce()])

    def later(self, delay_us: int, call: Callable[..., None], *args: object) -> None:
        self.world.after(delay_us, self._wake, self._life, call, args)

    def _wake(self, life: int, call: Callable[..., None], args: tuple[object, ...]) -> None:
        if life != self._life or self.core is None:
            return
        if self.world.now < self._frozen_until:
            self.world.after(self._frozen_until - self.world.now, self._wake, life, call, args)
            return
        try:
            call(*args)
        except Died:
            self.died()

    # ---- turns --------------------------------------------------------------------------------

    def receive(self, events: list[Event]) -> None:
        self._inbox += events
        if events and not self._turning:
            self._turning = True
            self.later(self.world.pause(self._pace.turn_us), self._turn)

    def _request(self, event: Any, peer: bytes, request: int) -> None:
        if self.core is not None:
            self.receive([type(event)(Caller(peer, (), request), *event[1:])])

    def _turn(self) -> None:
        self._turning = False
        assert self.core is not None
        now, deadline = self.now, self.core.next_deadline()
        stood_us = 0 if deadline is None else now - max(deadline, self._turned_us)
        self._turned_us = now
        if stood_us > LATE_US and not self._is_late:
            self._is_late = True
            self._step(Late(stood_us))
        events, self._inbox = self._inbox, []
        for event in events:
            self._step(event)
        if not self._inbox:
            self._is_late = False
            self._run(self.core.tick(now))
        self._flush()
        follow_ups, self._follow_ups = self._follow_ups, []
        self.receive(follow_ups)
        self._set_alarm()
        self._bounds.check(self.core)

    def _step(self, event: Event) -> None:
        assert self.core is not None
        self.world.note("event", event)
        self._watcher.event(event, self.world.now)
        self._run(self.core.step(event, self.now))

    def _run(self, effects: list[fx.Effect]) -> None:
        """Between any two of them the process may die: what it did not get to, nobody hears of."""
        self.hazard()
        for effect in effects:
            self.world.note("effect", effect)
            self._watcher.effect(effect, self.world.now)
            self._go[type(effect)](effect)
            self.hazard()

    def _set_alarm(self) -> None:
        assert self.core is not None
        deadline = self.core.next_deadline()
        if deadline is not None and deadline != self._alarm:
            self._alarm = deadline
            self.later(deadline - self.now, self._ring, deadline)

    def _ring(self, deadline: int) -> None:
        if deadline == self._alarm:
            self._alarm = None
            self._turn()

    # ---- effects ------------------------------------------------------------------------------

    def _flush(self) -> None:
        if self._appends:
            group, self._appends = tuple(self._appends), []
            self._log.put(group)

    def _to_log(self, effect: fx.ResumeAppends | fx.Trim) -> None:
        """Behind the pushes that the core asked for before."""
        self._flush()
        self._log.put(effect)

    def _load_rows(self, effect: fx.LoadRows) -> None:
        rows, upto = self._store.rows(effect.first, effect.limit)
        self._reader.report([RowsLoaded(effect.who, effect.first, tuple(rows), upto)])

    def _find_time(self, effect: fx.FindTime) -> None:
        self._reader.report([PositionFound(effect.who, self._store.find_time(effect.at_us))])

    def _note_quiesced(self, effect: fx.Quiesced) -> None:
        self.quiesced = True

    def _answer(self, effect: Any) -> None:
        self._network.send(effect.caller.peer, Answer(self.boot, effect))

    # ---- leases going out -----------------------------------------------------------------------

    def _deliver(self, effect: fx.Deliver) -> None:
        """The bytes are in the ring, or a thread reads them; parked ones only the state thread."""
        assert self.core is not None
        job = Assemble(effect, self.core.gid_of(effect.group) if effect.leases else 0)
        if any(piece.lane != LIVE for grant in effect.leases for piece in grant.pieces):
            self._follow_ups.append(Fetching(effect.group, effect.lease_ids))
            self._state.put(job)
        elif not effect.leases or self.world.chance(0.5):
            self._assembled(job)
        else:
            self._follow_ups.append(Fetching(effect.group, effect.lease_ids))
            self._reader.soon(self._fetched, job)

    def _fetched(self, job: Assemble) -> None:
        self._assembled(job, fetched=True)

    def _assembled(self, job: Assemble, fetched: bool = False) -> None:
        effect = self._shorten(job.effect)
        try:
            values = tuple(self._bytes.values(job.gid, grant.pieces) for grant in effect.leases)
        except DamagedBlock as block:
            self.receive([Unmade(effect, (block.first, block.last))])
            return
        except KeyError:
            self._watcher.unreadable(effect)
            self.receive([Unmade(effect)])
            return
        if fetched:
            self.receive([Fetched(effect.group, effect.lease_ids)])
        self._watcher.sent(effect, values)
        if not self._network.send(effect.caller.peer, Answer(self.boot, effect, values)):
            self._undelivered(effect)

    def _undelivered(self, effect: fx.Deliver) -> None:
        if effect.leases:
            self.receive([Undelivered(effect.caller, effect.group, effect.lease_ids)])

    def _shorten(self, effect: fx.Deliver) -> fx.Deliver:
        """Now and then the pieces of a lease do not fit one block; they never will."""
        grants = []
        for grant in effect.leases:
            kept = self._cuts.get(grant.lease, 0)
            if not kept and len(grant.pieces) > 1 and self.world.chance(self._pace.shorten):
                kept = self._cuts[grant.lease] = self.world.between(1, len(grant.pieces) - 1)
                self.receive([Shortened(effect.group, grant.lease, kept)])
            grants.append(shortened(grant, kept) if kept else grant)
        return effect._replace(leases=tuple(grants))


def shortened(grant: fx.Grant, kept: int) -> fx.Grant:
    pieces = grant.pieces[:kept]
    messages = sum(piece.last - piece.first + 1 for piece in pieces)
    return grant._replace(
        pieces=pieces,
        attempts=grant.attempts[:messages],
        deliveries=grant.deliveries[:messages],
        history=grant.history[:messages],
    )
