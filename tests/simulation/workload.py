"""What a run is made of, drawn from its seed: limits, clients, faults, and when they strike.

Owns the swarm: each seed switches its own subset of faults on and picks its own tiny or roomy
limits, so that rare meetings are not rare over many seeds.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from laybyd.core.settings import HOUR, MINUTE, CoreSettings, GroupSettings
from tests.simulation.broker_host import Pace
from tests.simulation.consumers import Way
from tests.simulation.handling import Handling
from tests.simulation.network import Faults
from tests.simulation.producers import Habits
from tests.simulation.world import MS, SECOND, START_US


class Chaos(NamedTuple):
    """Mean time between faults of a kind; 0: never."""

    crash_us: int
    freeze_us: int
    cut_us: int
    kill_us: int
    stall_us: int
    leave_us: int
    full_us: int
    damage_us: int
    quiesce_us: int
    jump_us: int


class Plan(NamedTuple):
    """Everything drawn for one seed. `operate_us`, `delete_us`, `remove_us`, `change_us`: mean time
    between an operator's looks at parked messages, between deletions of a group, of a topic, and
    between changes of a group; 0: never."""

    settings: CoreSettings
    faults: Faults
    pace: Pace
    chaos: Chaos
    topics: tuple[str, ...]
    producers: tuple[Habits, ...]
    sequencers: tuple[Habits, ...]
    consumers: tuple[Way, ...]
    sessions: tuple[Way, ...]
    operate_us: int
    readers: int
    delete_us: int = 0
    remove_us: int = 0
    change_us: int = 0

    def text(self) -> str:
        return "\n".join(f"  {name}: {value}" for name, value in self._asdict().items())


def draw(seed: int) -> Plan:
    """What came later has dice of its own, so that what was drawn before stays as it was."""
    plan, keeping = _first_draw(Dice(seed)), Dice(seed, "keeping")
    moves = Dice(seed, "moves").maybe(0.3, 0.1, 0.0)
    removing, changing = Dice(seed, "removing"), Dice(seed, "changing")
    plan = plan._replace(
        delete_us=keeping.maybe(0.4, keeping.pick(200 * MS, SECOND, 5 * SECOND), 0),
        remove_us=removing.maybe(0.4, removing.pick(200 * MS, SECOND, 5 * SECOND), 0),
        change_us=changing.maybe(0.4, changing.pick(200 * MS, SECOND, 5 * SECOND), 0),
        sequencers=tuple(habits._replace(moves=moves) for habits in plan.sequencers),
    )
    return _telling(_begun_by_time(plan, Dice(seed, "times")), Dice(seed, "telling"))


def _telling(plan: Plan, dice: Dice) -> Plan:
    """Some sessions say how long a message takes them, and some of these are far off."""
    sessions = [
        way._replace(tells_us=dice.maybe(0.7, dice.pick(way.handling.mean_us, 1, MINUTE), 0))
        for way in plan.sessions
    ]
    return plan._replace(sessions=dice.maybe(0.3, tuple(sessions), plan.sessions))


def _begun_by_time(plan: Plan, dice: Dice) -> Plan:
    """Some groups begin at a time, before the world's or while it lasts."""
    ways = (*plan.consumers, *plan.sessions)
    times = {
        group: dice.maybe(0.3, START_US + dice.between(-SECOND, 10 * SECOND), None)
        for group in sorted({way.group for way in ways})
    }
    return plan._replace(
        consumers=tuple(way._replace(start_us=times[way.group]) for way in plan.consumers),
        sessions=tuple(way._replace(start_us=times[way.group]) for way in plan.sessions),
    )


def _first_draw(dice: Dice) -> Plan:
    topics = tuple(f"app.{number}" for number in range(dice.between(1, 4)))
    settings = dice.settings()
    handling = dice.handling(settings.group)
    groups = [dice.subscription(number, topics) for number in range(dice.between(1, 3))]
    return Plan(
        settings=settings,
        faults=dice.faults(),
        pace=dice.pace(),
        chaos=dice.chaos(),
        topics=topics,
        producers=tuple(dice.habits(topics) for _ in range(dice.between(0, 2))),
        sequencers=tuple(dice.habits(topics) for _ in range(dice.between(1, 3))),
        consumers=tuple(dice.way(*dice.pick(*groups), handling) for _ in range(dice.between(0, 2))),
        sessions=tuple(dice.way(*group, handling) for group in groups for _ in dice.some(1, 4)),
        operate_us=dice.maybe(0.4, dice.pick(SECOND, 10 * SECOND), 0),
        readers=dice.between(0, 2),
    )


class Dice:
    def __init__(self, seed: int, of: str = "plan") -> None:
        self._random = random.Random(f"{of} {seed}")

    def between(self, low: int, high: int) -> int:
        return self._random.randint(low, high)

    def pick(self, *choices):
        return self._random.choice(choices)

    def some(self, low: int, high: int) -> range:
        return range(self.between(low, high))

    def maybe(self, chance: float, value, otherwise):
        return value if self._random.random() < chance else otherwise

    # ---- limits -----------------------------------------------------------------------------

    def settings(self) -> CoreSettings:
        history_first = self.between(1, 4)
        return CoreSettings(
            group=self.group(),
            quiesce_us=self.pick(SECOND, 30 * SECOND),
            restart_grace_us=self.pick(0, 50 * MS, 500 * MS),
            settle_flush_us=self.pick(MS, 5 * MS, 50 * MS),
            settle_flush_deltas=self.pick(1, 10, 1_000),
            wait_us_max=self.pick(SECOND, 30 * SECOND),
            answer_leases_max=self.pick(1, 4, 16),
            history_first=history_first,
            history_last=self.between(1, 12),
            window_rows=self.pick(2, 8, 64, 4_096),
            head_records=self.pick(1, 4, 64, 1_024),
            producers_recent=self.pick(1, 2, 1_000),
            producer_history=self.pick(8, 64, 1_024),
            producer_in_flight_max=self.pick(4, 64, 1_024),
        )

    def group(self) -> GroupSettings:
        lease_us = self.pick(500 * MS, 2 * SECOND, 10 * SECOND, 30 * SECOND)
        return GroupSettings(
            lease_us=lease_us,
            max_handling_us=self.pick(lease_us // 2, lease_us, 2 * lease_us),
            max_hold_us=10 * lease_us,
            backoff_us=self.pick((0,), (200 * MS, SECOND), (SECOND, 10 * SECOND, MINUTE)),
            max_attempts=self.pick(1, 2, 3, 6),
            live_slice_us=self.pick(MS, 50 * MS, SECOND),
            drain_slice_us=self.pick(MS, 20 * MS, SECOND),
            idle_after_us=self.pick(0, 5 * MS, 100 * MS),
            max_wait_us=self.pick(SECOND, 10 * SECOND, 10 * MINUTE),
            busy_share_ppm=self.pick(10_000, 50_000, 300_000),
            reserve=self.pick(0, 1, 3),
            max_out=self.pick(1, 5, 50, 1_000_000),
            leases_per_session=self.pick(1, 3, 64),
            deferred_bytes=self.pick(100, 5_000, 1 << 30),
            dead_bytes=self.pick(100, 1 << 30),
        )

    # ---- clients ----------------------------------------------------------------------------

    def habits(self, topics: tuple[str, ...]) -> Habits:
        return Habits(
            topics=topics,
            block=self.pick(1, 3, 10, 40),
            gap_us=self.pick(20 * MS, 100 * MS, SECOND),
            window=self.pick(1, 4, 64),
        )

    def subscription(
        self, number: int, topics: tuple[str, ...]
    ) -> tuple[str, tuple[str, ...], str | int | None]:
        wanted = self.pick(("app.*",), ("*",), (topics[0],), (topics[-1], "none.*"))
        return f"group{number}", wanted, self.pick(None, "earliest", "latest", 5)

    def handling(self, group: GroupSettings) -> Handling:
        return Handling(
            mean_us=self.pick(MS, 5 * MS, 50 * MS),
            stuck_us=2 * max(group.max_handling_us, group.lease_us),
            poison=self.maybe(0.7, self.between(1, 100), 0),
            stuck=self.maybe(0.4, self.between(1, 20), 0),
            killer=self.maybe(0.4, self.between(1, 20), 0),
            moody=self.maybe(0.5, 0.1, 0.0),
        )

    def way(
        self, group: str, topics: tuple[str, ...], start: str | int | None, handling: Handling
    ) -> Way:
        return Way(
            group=group,
            topics=topics,
            start=start,
            handlers=self.pick(1, 1, 2, 4),
            credit=self.pick(1, 4, 20, 100),
            credit_bytes=self.pick(1, 200, 1 << 20),
            wait_ms=self.pick(0, 500, 30_000),
            handling=handling,
            reports=self.maybe(0.7, True, False),
            hands_back=self.maybe(0.7, True, False),
            rides=self.maybe(0.5, True, False),
            batches=self.maybe(0.3, 0.5, 0.0),
            lies=self.maybe(0.3, 0.05, 0.0),
            forgets=self.maybe(0.2, 0.05, 0.0),
        )

    # ---- faults -----------------------------------------------------------------------------

    def faults(self) -> Faults:
        return Faults(
            lose=self.maybe(0.5, 0.01, 0.0),
            repeat=self.maybe(0.3, 0.01, 0.0),
            delay_us=self.pick(100, 2 * MS, 50 * MS),
        )

    def pace(self) -> Pace:
        return Pace(
            turn_us=self.pick(10, 500),
            append_us=self.pick(300, 5 * MS),
            state_us=self.pick(300, 5 * MS, 100 * MS),
            read_us=self.pick(100, 20 * MS),
            shorten=self.maybe(0.3, 0.1, 0.0),
        )

    def chaos(self) -> Chaos:
        return Chaos(
            crash_us=self.maybe(0.6, self.pick(2 * SECOND, 30 * SECOND), 0),
            freeze_us=self.maybe(0.3, 30 * SECOND, 0),
            cut_us=self.maybe(0.4, 5 * SECOND, 0),
            kill_us=self.maybe(0.4, 10 * SECOND, 0),
            stall_us=self.maybe(0.4, 10 * SECOND, 0),
            leave_us=self.maybe(0.4, 10 * SECOND, 0),
            full_us=self.maybe(0.3, 20 * SECOND, 0),
            damage_us=self.maybe(0.2, 30 * SECOND, 0),
            quiesce_us=self.maybe(0.3, 20 * SECOND, 0),
            jump_us=self.maybe(0.3, self.pick(MINUTE, HOUR), 0),
        )


QUICK = Pace(turn_us=10, append_us=300, state_us=300, read_us=100, shorten=0.0)
"""What is not slow."""

LIVENESS_US = 12 * HOUR
"""After the faults stop everything is settled within this: all attempts, all backoffs."""
