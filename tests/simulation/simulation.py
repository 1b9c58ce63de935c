"""One run: faults and traffic for so many steps, then peace until everything is settled.

Owns the two phases and the striking of faults. Safety is checked all along by the auditor;
liveness at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from laybyd.store.memory import MemoryStore
from tests.audit.auditor import audit
from tests.audit.history import Line
from tests.simulation import bounds
from tests.simulation.audit_drain import FEW_HANDLERS
from tests.simulation.audit_log import Violation, demand
from tests.simulation.auditor import Auditor
from tests.simulation.broker_host import BrokerHost
from tests.simulation.changers import Changer, Remover
from tests.simulation.consumers import Consumer
from tests.simulation.keepers import Keeper
from tests.simulation.network import Network
from tests.simulation.operators import Inspector, Operator, Reader
from tests.simulation.producers import Producer, Sequencer, Values
from tests.simulation.scribe import Scribe
from tests.simulation.sessions import Session
from tests.simulation.workload import LIVENESS_US, Plan, draw
from tests.simulation.world import MS, SECOND, World

DRAIN_STEPS_MAX = 250_000
DRAIN_STEPS_EACH = 100
"""For every message that is not settled when the faults stop."""

CRASH_EFFECTS = 60
"""So many effects and commits at most are let through before a crash that was called for."""

ANSWER_US = 30 * SECOND

TRIM_US = 10 * SECOND

PEACE_WAIT_MS = 2_000
"""Polls that wait, so that hours pass in few steps."""


class Summary(NamedTuple):
    steps: int
    virtual_s: float
    messages: int
    confirmed: int
    crashes: int
    dead: int
    digest: str = ""


class Simulation:
    def __init__(self, seed: int, steps: int, plan: Plan | None = None) -> None:
        self.plan = plan or draw(seed)
        self.world = World(seed)
        self.auditor = Auditor(self.plan.settings)
        self._steps = steps
        self._peace = False
        self._crashes = 0
        self._store = MemoryStore()
        self._network = Network(self.world, self.plan.faults)
        self._host = BrokerHost(
            self.world, self._network, self.plan.settings, self.plan.pace, self._store, self.auditor
        )
        self._scribe = self._network.witness = Scribe(
            self.world, self.plan.settings, self.plan.change_us > 0
        )
        self._host.died = self._die
        self._start(0)
        self._hire()

    def _hire(self) -> None:
        world, network, plan, values = self.world, self._network, self.plan, Values()
        self._producers: list[Producer] = [
            Producer(world, network, f"prod{i}", habits, values)
            for i, habits in enumerate(plan.producers)
        ]
        self._producers += [
            Sequencer(world, network, f"seq{i}", habits, values)
            for i, habits in enumerate(plan.sequencers)
        ]
        self._consumers: list[Consumer] = [
            Consumer(world, network, f"cons{i}", way) for i, way in enumerate(plan.consumers)
        ]
        self._consumers += [
            Session(world, network, f"sess{i}", way) for i, way in enumerate(plan.sessions)
        ]

        groups = sorted({one.way.group for one in self._consumers})
        self._operators = [Operator(world, network, "oper", groups, plan.operate_us or SECOND)]
        self._operators[0].stopped = not plan.operate_us
        self._keepers = [*self._hire_keepers(), *self._hire_changers(groups)]
        self._readers = [
            Reader(world, network, f"read{i}", plan.topics[: i + 1]) for i in range(plan.readers)
        ]

    def _hire_changers(self, groups: list[str]) -> list[Remover | Changer]:
        world, network, plan = self.world, self._network, self.plan
        hired: list[Remover | Changer] = []
        if plan.remove_us:
            hired.append(Remover(world, network, "remo", plan.topics, plan.remove_us))
        if plan.change_us:
            hired.append(Changer(world, network, "chan", groups, plan.topics, plan.change_us))
        return hired

    def _hire_keepers(self) -> list[Keeper]:
        if not self.plan.delete_us:
            return []
        topics = {one.way.group: one.way.topics for one in self._consumers}
        by_time = any(one.way.start_us is not None for one in self._consumers)
        return [Keeper(self.world, self._network, "keep", topics, self.plan.delete_us, by_time)]

    # ---- two phases -------------------------------------------------------------------------

    def run(self) -> Summary:
        self._threaten()
        self.world.run(lambda: self.world.steps >= self._steps)
        self._make_peace()
        self._drain(self._pushed, "pushed")
        self._drain(self._settled, "settled")
        self._close()
        self._scribe.ended()
        judge(self._scribe.lines)
        return self._summary()

    def _make_peace(self) -> None:
        self._peace = True
        self._scribe.faults(False)
        self._network.faults = self.plan.faults._replace(lose=0.0, repeat=0.0)
        self._host.set_full(False, False)
        self._host.crash_after(0)
        for producer in self._producers:
            producer.stopped = True
        for operator in (*self._operators, *self._keepers):
            operator.stopped = True
        for consumer in self._consumers:
            consumer.calm_down(PEACE_WAIT_MS)
        self._staff()
        for client in (*self._producers, *self._consumers):
            if not client.alive:
                client.live_again()

    def _staff(self) -> None:
        """A group that keeps all its handlers free has only the guard's share of their time for
        what is deferred: for an end within hours it takes one handler more."""
        for group in sorted({one.way.group for one in self._consumers}):
            staff = [one for one in self._consumers if one.way.group == group]
            handlers = sum(one.way.handlers if isinstance(one, Session) else 1 for one in staff)
            spare = handlers - self.plan.settings.group.reserve
            if handlers > FEW_HANDLERS and spare <= 0:
                staff[-1].hire(1 - spare)

    def _pushed(self) -> bool:
        return self._host.core is not None and not any(one.busy for one in self._producers)

    def _settled(self) -> bool:
        """Where the auditor cannot know, the core's word is asked for as well."""
        core = self._host.core
        return core is not None and self.auditor.settled() and not bounds.left(core)

    def _drain(self, done: Callable[[], bool], what: str) -> None:
        until = self.world.now + LIVENESS_US
        most = self.world.steps + DRAIN_STEPS_MAX + DRAIN_STEPS_EACH * self.auditor.unsettled
        state = {"next": 0, "done": False}

        def finished() -> bool:
            if self.world.steps >= state["next"]:
                state["next"] = self.world.steps + 200
                state["done"] = done()
            return bool(state["done"]) or self.world.now > until or self.world.steps > most

        self.world.run(finished)
        demand(done(), f"not all is {what} in the end: {self.auditor.left()}")

    def _close(self) -> None:
        """The broker can stop in order once all is quiet."""
        self._await_answers()
        if self.plan.remove_us or self.plan.change_us:
            self._await_trims()
        inspector = Inspector(self.world, self._network, "last", sorted(self.auditor.groups))
        self.world.run(lambda: inspector.done)
        self._host.quiesce()
        until = self.world.now + self._stopping_us
        self.world.run(lambda: self._host.quiesced or self.world.now > until)
        demand(self._host.quiesced, "asked to stop, it did not")

    def _await_answers(self) -> None:
        """With the faults off every request has its answer soon."""
        until = self.world.now + ANSWER_US
        asked = self.auditor.overdue(self.world.now)
        if not asked:
            return
        self.world.run(lambda: self.world.now > until or all(one.is_answered for one in asked))
        for one in asked:
            demand(one.is_answered, f"no answer to {one.event}")

    def _await_trims(self) -> None:
        """What nobody needs any more is freed soon."""
        until = self.world.now + TRIM_US
        self.world.run(lambda: self.world.now > until or not self.auditor.untrimmed)
        demand(not self.auditor.untrimmed, f"nobody needs {self.auditor.untrimmed}")

    def _summary(self) -> Summary:
        dead = sum(
            mark.now.dead for book in self.auditor.groups.values() for mark in book.marks.values()
        )
        return Summary(
            self.world.steps,
            round((self.world.now - self.world.begun) / SECOND, 1),
            self.auditor.log.end - 1,
            self.auditor.log.confirmed,
            self._crashes,
            dead,
            self.world.digest,
        )

    # ---- faults -----------------------------------------------------------------------------

    def _threaten(self) -> None:
        chaos = self.plan.chaos
        for mean_us, strike in (
            (chaos.crash_us, self._crash),
            (chaos.freeze_us, self._freeze),
            (chaos.cut_us, self._cut),
            (chaos.kill_us, self._kill),
            (chaos.stall_us, self._stall),
            (chaos.leave_us, self._leave),
            (chaos.full_us, self._fill),
            (chaos.damage_us, self._damage),
            (chaos.quiesce_us, self._restart),
        ):
            if mean_us:
                self.world.after(self.world.pause(mean_us), self._strike, mean_us, strike)

    def _strike(self, mean_us: int, strike: Callable[[], None]) -> None:
        if not self._peace:
            strike()
            self.world.after(self.world.pause(mean_us), self._strike, mean_us, strike)

    def _crash(self) -> None:
        if self.world.chance(0.3):
            self._die()
        else:
            self._host.crash_after(self.world.between(1, CRASH_EFFECTS))

    def _die(self) -> None:
        if self._host.core is not None:
            self._crashes += 1
            self._scribe.died()
            self._host.crash()
            self.world.after(self.world.pause(200 * MS), self._start, self._jump())

    def _start(self, jump_us: int) -> None:
        self._host.start(jump_us)
        self._scribe.started(self._host.boot, jump_us)

    def _jump(self) -> int:
        """By how much the wall clock is moved while the broker is down."""
        mean_us = self.plan.chaos.jump_us
        if not mean_us or self.world.chance(0.5):
            return 0
        return self.world.random.choice((-1, 1)) * self.world.pause(mean_us)

    def _restart(self) -> None:
        """In order: the broker is asked to stop, and killed once it is ready or takes too long."""
        if self._host.core is not None and not self._host.quiesced:
            boot = self._host.boot
            self._host.quiesce()
            self._await_quiet(boot, self.world.now + self._stopping_us)

    @property
    def _stopping_us(self) -> int:
        """For what is out to be settled, and then for what that has left to be written."""
        return 2 * self.plan.settings.quiesce_us

    def _await_quiet(self, boot: int, until: int) -> None:
        """Who stands still hears of it later, and has his time from then."""
        if self._host.boot != boot or self._host.core is None:
            return
        until = max(until, self._host.frozen_until + self._stopping_us)
        if self._host.quiesced or self.world.now > until:
            demand(self._host.quiesced, "asked to stop, it did not")
            self._die()
        else:
            self.world.after(100 * MS, self._await_quiet, boot, until)

    def _freeze(self) -> None:
        self._host.freeze(self.world.pause(3 * SECOND))

    def _cut(self) -> None:
        client = self.world.random.choice([*self._producers, *self._consumers])
        if isinstance(client, Session):
            client.come_back()
        elif client.alive:
            client.reconnect()

    def _kill(self) -> None:
        client = self.world.random.choice([*self._producers, *self._consumers])
        if client.alive:
            client.die()
            self.world.after(self.world.pause(3 * SECOND), client.live_again)

    def _stall(self) -> None:
        client = self.world.random.choice([*self._producers, *self._consumers])
        client.freeze(self.world.pause(2 * self.plan.settings.group.lease_us))

    def _leave(self) -> None:
        client = self._any_consumer()
        if isinstance(client, Session) and client.alive:
            client.leave()

    def _any_consumer(self) -> Consumer:
        return self.world.random.choice(self._consumers)

    def _fill(self) -> None:
        log, state = self.world.random.choice(((True, False), (False, True), (True, True)))
        self._host.set_full(log, state)
        self.world.after(self.world.pause(2 * SECOND), self._host.set_full, False, False)

    def _damage(self) -> None:
        if self.auditor.log.end > 1:
            position = self.world.between(1, self.auditor.log.end - 1)
            self._host.damage.blocks.add(self.auditor.log.row_at(position).first)


def judge(lines: list[Line]) -> None:
    """What the clients saw, judged from outside."""
    for breach in audit(lines).breaches:
        proof = "\n".join(f"  {line}" for line in breach.lines)
        raise Violation(f"{breach.promise}: {breach.text}\n{proof}")


def run(seed: int, steps: int, plan: Plan | None = None, is_hashed: bool = False) -> Summary:
    """Raises Violation with the seed and the last things that happened."""
    simulation = Simulation(seed, steps, plan)
    if is_hashed:
        simulation.world.hash_all()
    try:
        return simulation.run()
    except Exception as broken:
        trace = "\n".join(simulation.world.trace())
        raise Violation(
            f"seed {seed}, {steps} steps, step {simulation.world.steps}: {broken!r}\n"
            f"{simulation.plan.text()}\n{trace}",
            simulation.world.steps,
        ) from broken
