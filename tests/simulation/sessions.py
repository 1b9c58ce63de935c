"""Consumers of level 2: sessions, prefetch, progress, hand-back, and all the ways to misbehave.

Owns one session's polls and outcomes. Keeps the duties of a client: an answer of another boot
voids its leases, a late answer to an older poll is thrown away, an outcome is sent until it is
answered.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from laybyd.core.effects import Deliver
from laybyd.core.events import Extend, Goodbye, Poll, Settle
from laybyd.core.types import Outcome, Progress, Verdict
from tests.simulation.client import NOBODY
from tests.simulation.consumers import (
    POLL_PATIENCE_US,
    SETTLE_PATIENCE_US,
    Consumer,
    Way,
    Work,
    verdict,
    work_of,
)
from tests.simulation.network import Answer, Network
from tests.simulation.world import MS, World

FLUSH_US = 5 * MS
HAND_BACK_US = 30 * MS
SAID_MAX = 50
"""A liar remembers so many messages."""


class Working(NamedTuple):
    work: Work
    since: int


class Session(Consumer):
    def __init__(self, world: World, network: Network, name: str, way: Way) -> None:
        self._born = 0
        self._boot = 0
        self._begin()
        super().__init__(world, network, name, way)

    def _begin(self) -> None:
        """A new run under a new name; what the old one held is the broker's to notice."""
        self._born += 1
        self._n = self._got = 0
        self._polling: int | None = None
        self._riding: tuple[Verdict, ...] = ()
        self._outcomes: list[Verdict] = []
        self._sent: dict[tuple[Verdict, ...], None] = {}
        self._flushing = False
        self._extending = False
        self._said: deque[Work] = deque(maxlen=SAID_MAX)
        self._waiting: deque[Work] = deque()
        self._working: dict[int, Working] = {}

    @property
    def label(self) -> str:
        return f"{self.name}.{self._life}"

    @property
    def session(self) -> bytes:
        return b"%s#%d" % (self.name.encode(), self._born)

    @property
    def _idle(self) -> int:
        return max(0, self.way.handlers - len(self._working) - len(self._waiting))

    # ---- polls ------------------------------------------------------------------------------

    def work(self) -> None:
        """Start what can be started, and ask for more when there is room."""
        while self._waiting and len(self._working) < self.way.handlers:
            self._start(self._waiting.popleft())
        if self._polling is None and len(self._waiting) < max(1, self.way.credit // 2):
            self._n += 1
            self._riding = self._take_outcomes() if self.way.rides else ()
            self.poll()

    def poll(self) -> None:
        way = self.way
        poll = Poll(
            NOBODY,
            way.group,
            self.topics,
            way.credit,
            way.credit_bytes,
            way.wait_ms,
            name=self.name,
            **way.begins,
            session=self.session,
            n=self._n,
            got=self._got,
            handlers=way.handlers,
            idle=self._idle,
            live_us=way.tells_us or None,
            deferred_us=way.tells_us or None,
            verdicts=self._riding,
            progress=self._progress() if way.reports else None,
        )
        patience = way.wait_ms * MS + POLL_PATIENCE_US
        self._polling = self.ask(poll, patience, self._polled, self._unpolled)

    def _polled(self, answer: Answer) -> None:
        deliver = answer.effect
        if not isinstance(deliver, Deliver):
            self._polling = None
            self.refused(deliver.code)
            self._tell_again(self._riding)
            self.later(max(1, deliver.retry_ms) * MS, self.work)
            return
        if deliver.n != self._n:
            return
        self._notice(answer.boot)
        self._polling, self._riding = None, ()
        self._got = deliver.n
        self._waiting.extend(work_of(answer))
        if deliver.leases and self.way.reports:
            self._keep(deliver.leases[0].lease_ms * MS)
        self.later(0 if deliver.leases else self.pause_us, self.work)

    def _unpolled(self) -> None:
        """No answer: the same poll again; or give it up, and the next one says so by `got`."""
        if self.world.chance(0.3):
            self.reconnect()
        if self.world.chance(0.7):
            self.poll()
            return
        self._polling = None
        self._tell_again(self._riding)
        self.work()

    def _notice(self, boot: int) -> None:
        """Another boot: what was not started is not ours any more; what is, may still count."""
        if boot != self._boot:
            self._boot = boot
            self._waiting.clear()

    # ---- handlers ---------------------------------------------------------------------------

    def _start(self, work: Work) -> None:
        treatment = self.way.handling.treat(work.value, self.world)
        self._working[work.position] = Working(work, self.world.now)
        if treatment.kills:
            self.later(treatment.takes_us, self.fall)
            return
        outcome, delay_ms = treatment.outcome, treatment.delay_ms
        self.later(treatment.takes_us, self._finish, work, outcome, delay_ms)

    def _finish(self, work: Work, outcome: Outcome, delay_ms: int | None) -> None:
        held = self._working.get(work.position)
        if held is not None and held.work is work:
            del self._working[work.position]
        if not self.world.chance(self.way.forgets):
            self._tell(verdict(work, outcome, delay_ms))
        if self.world.chance(self.way.lies):
            self._lie(work)
        if outcome is Outcome.FAIL and self.world.chance(self.way.batches):
            self._fail_rest(work.lease)
        self.work()

    def _lie(self, work: Work) -> None:
        """Settle what was never given, under a lease that never was or beside the own one; or say
        once more, or otherwise, what was said long ago."""
        self._said.append(work)
        lie = self.world.between(0, 3)
        if lie == 0:
            unknown = work.lease[:4] + bytes((255,)) * 8
            self._tell(verdict(work._replace(lease=unknown), Outcome.ACK))
        elif lie == 1:
            self._tell(verdict(work._replace(position=work.position + 1_000), Outcome.ACK))
        else:
            outcome = self.world.random.choice(list(Outcome))
            self._tell(verdict(self.world.random.choice(self._said), outcome))

    def _fail_rest(self, lease: bytes) -> None:
        """A batch failed as a whole: one of these is bad, nobody knows which."""
        rest = sorted(work.position for work in self._waiting if work.lease == lease)
        self._waiting = deque(work for work in self._waiting if work.lease != lease)
        if rest:
            self._tell(Verdict(lease, ranges_of(rest), Outcome.FAIL, "batch"))

    def hand_back(self) -> None:
        for lease in {work.lease for work in self._waiting}:
            back = sorted(work.position for work in self._waiting if work.lease == lease)
            self._tell(Verdict(lease, ranges_of(back), Outcome.RELEASE, started=False))
        self._waiting.clear()

    # ---- outcomes and progress ----------------------------------------------------------------

    def _tell(self, told: Verdict) -> None:
        self._outcomes.append(told)
        self._flush_soon()

    def _tell_again(self, told: tuple[Verdict, ...]) -> None:
        self._outcomes = [*told, *self._outcomes]
        if told:
            self._flush_soon()

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            self.later(FLUSH_US, self._flush)

    def _flush(self) -> None:
        self._flushing = False
        verdicts = self._take_outcomes()
        if verdicts:
            self._settle(verdicts)

    def _settle(self, verdicts: tuple[Verdict, ...]) -> None:
        settle = Settle(NOBODY, self.way.group, verdicts)
        self._sent[verdicts] = None
        self.ask(settle, SETTLE_PATIENCE_US, self._settled(verdicts), self._unsettled(verdicts))

    def _settled(self, verdicts: tuple[Verdict, ...]):
        return lambda answer: self._sent.pop(verdicts, None)

    def _take_outcomes(self) -> tuple[Verdict, ...]:
        """Two of one message do not go into one request: of which the refusal is, nobody could
        tell."""
        said: set[tuple[bytes, int]] = set()
        verdicts, later = [], []
        for told in self._outcomes:
            named = {(told.lease, at) for low, high in told.ranges for at in range(low, high + 1)}
            (later if named & said else verdicts).append(told)
            said |= named
        self._outcomes = later
        if later:
            self._flush_soon()
        return tuple(verdicts)

    def _progress(self) -> Progress:
        now = self.world.now
        working = tuple(
            (position, position, (now - held.since) // MS)
            for position, held in sorted(self._working.items())
        )
        return Progress(working)

    def _keep(self, lease_us: int) -> None:
        if not self._extending:
            self._extending = True
            self.later(lease_us // 3, self._extend, lease_us)

    def _extend(self, lease_us: int) -> None:
        self._extending = False
        if not self._working and not self._waiting:
            return
        progress = self._progress()
        if self._working and self.world.chance(0.1):
            position = self.world.random.choice(sorted(self._working))
            progress = progress._replace(hold=((position, self.world.between(1, 60_000)),))
        self.tell(Extend(NOBODY, self.way.group, self.session, progress))
        oldest = min((held.since for held in self._working.values()), default=self.world.now)
        if self.way.hands_back and self.world.now - oldest > HAND_BACK_US:
            self.hand_back()
        self._keep(lease_us)

    # ---- coming and going -----------------------------------------------------------------------

    def leave(self) -> None:
        """As a client that closes: outcomes, then goodbye; later it joins again."""
        verdicts = self._take_outcomes()
        if verdicts:
            self.tell(Settle(NOBODY, self.way.group, verdicts))
        self.tell(Goodbye(NOBODY, self.way.group, self.session))
        self.world.after(MS, self.fall)

    def die(self) -> None:
        super().die()
        self._begin()

    def come_back(self) -> None:
        """The process lived on, its connection did not: same session, same leases, new place."""
        if self.alive:
            self.reconnect()
            self._asked.clear()
            unheard = [told for verdicts in self._sent for told in verdicts]
            self._tell_again((*self._riding, *unheard))
            self._sent.clear()
            self._polling, self._riding = None, ()
            self.work()


def ranges_of(positions: list[int]) -> tuple[tuple[int, int], ...]:
    """Neighbours joined: (from, to), both included."""
    ranges: list[tuple[int, int]] = []
    for position in positions:
        if ranges and ranges[-1][1] == position - 1:
            ranges[-1] = (ranges[-1][0], position)
        else:
            ranges.append((position, position))
    return tuple(ranges)
