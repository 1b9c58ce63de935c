"""The pace: one turn takes what has happened, steps the core, and hands its effects on.

Owns the turn, and with it the core: who holds the lock may touch it, our own thread or, for a lone
push that finds nothing else going on, the front-end's. Must never decide anything: which message
goes where is the core's business, how bytes look is the wire's, when a commit is done is the
writers'. The thread sleeps until the next event or the core's next deadline; there is no polling
interval and no other timer. A turn ends after TURN_US whatever waits: what was decided leaves, and
the next one goes on.
"""

from __future__ import annotations

import logging
import math
import threading
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeGuard

from laybyd.core.events import Event, Late, Push, Quiesce
from laybyd.scheduler.delivery import Assembled
from laybyd.scheduler.dispatch import INLINE_BYTES
from laybyd.scheduler.inbox import Inbox
from laybyd.scheduler.log_writer import Written
from laybyd.scheduler.put_off import PutOff

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from laybyd.core.broker import Broker
    from laybyd.scheduler.dispatch import Dispatch

log = logging.getLogger("laybyd.scheduler")

LATE_US = 1_000_000
"""A turn this much behind its deadline means the process stood still: leases move out."""

BEHIND_US = 20_000
"""A turn this much behind lets the front-end drain its socket before any lease may end."""

PATIENCE_S = 3_600.0
"""A deadline further off is looked at again on the way: a wait has a limit in the interpreter, and
the core's deadlines have none (a share of nothing is never filled)."""

BEHIND_MAX_US = 2_000_000
"""But a group whose requests never end is not spared its deadlines for good: polls must be answered
and leases of the dead must end, and an outcome that comes late still counts."""

TURN_BYTES = 4 << 20
TURN_EVENTS = 2_048
"""A turn takes no more than this, so that its appends stay one reasonable commit."""

TURN_US = 20_000
"""After this a turn begins nothing more: answers leave, and whoever came meanwhile is seen."""

QUIET_US = 1_000_000
SLOW_US = 20_000
"""No turn on the front-end's thread within QUIET_US of bulk, or of one there that took SLOW_US."""


class Drained(NamedTuple):
    """The front-end has drained its socket since it was asked to."""


class Ping(NamedTuple):
    """Somebody wants to know that this thread takes turns: `done` is called on it."""

    done: Callable[[], None]


class Stop(NamedTuple):
    """End after this turn."""


class Events(NamedTuple):
    """What the front-end has received in one drain."""

    events: list[Event]


Item = Events | Written | Assembled | Drained | Ping | Stop


class Scheduler:
    """`ask_drain` makes the front-end drain and then `put` Drained; `fail` ends the daemon."""

    def __init__(
        self,
        core: Broker,
        dispatch: Dispatch,
        now_us: Callable[[], int],
        ask_drain: Callable[[], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        self._core = core
        self._dispatch = dispatch
        self._now_us = now_us
        self._ask_drain = ask_drain
        self._fail = fail
        self._inbox: Inbox[Item] = Inbox()
        self._turning = threading.Lock()
        self._deadline = core.next_deadline()
        self._events: list[Event] = []
        self._put_off = PutOff()
        self._turned_us = self._caught_up_us = 0
        self._slow_us = -QUIET_US
        self._waits_for_drain = False
        self._drained = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="layby-core", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, item: Item) -> None:
        """From any thread."""
        self._inbox.put(item)

    def receive(self, item: Item) -> None:
        """From the front-end's thread alone. A lone push has its turn at once when nothing else is
        going on: to wake our thread for it would cost a fifth of its time."""
        if not (_is_lone_push(item) and self._turning.acquire(blocking=False)):
            self._inbox.put(item)
            return
        try:
            if self._is_idle() and self._may_wait_for_the_disk():
                self._guard(partial(self._turn_for, item.events[0]))
            else:
                self._inbox.put(item)
        finally:
            self._turning.release()

    def quiesce(self) -> None:
        self.put(Events([Quiesce()]))

    def stop(self) -> None:
        self.put(Stop())
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping:
            self._guard(self._sleep)
            with self._turning:
                self._guard(self._turn)

    def _guard(self, turn: Callable[[], None]) -> None:
        """What a turn raises ends the daemon, and no other turn follows on any thread."""
        if self._stopping:
            return
        try:
            turn()
        except BaseException as error:
            self._stopping = True
            log.exception("the scheduler stopped")
            self._fail(error)

    def _turn(self) -> None:
        self._take_waiting()
        now = self._now_us()
        late_us = 0 if self._deadline is None else now - self._deadline
        stood_us = min(late_us, now - self._turned_us)
        self._turned_us = now
        if not self._put_off:
            self._caught_up_us = now
        if stood_us > LATE_US and not (self._waits_for_drain or self._drained):
            log.warning("stood still for %.1f s: leases are extended by that much", stood_us / 1e6)
            self._step(Late(stood_us), now)
        self._step_events(now)
        if self._may_tick(late_us):
            self._dispatch.run(self._core.tick(now, self._behind(now)), now)
        self._hand_over(now)
        if self._put_off:
            self._step_waiting(now + TURN_US)
            self._hand_over(now)
        self._deadline = self._core.next_deadline()

    def _is_idle(self) -> bool:
        """Nothing that came before is still to be stepped, and nothing is due."""
        waits = self._inbox or self._events or self._put_off or self._waits_for_drain
        return not waits and self._now_us() < _time(self._deadline)

    def _may_wait_for_the_disk(self) -> bool:
        """The front-end's thread reads nothing meanwhile: not while there is bulk, which would
        pile up, nor soon after the disk was slow."""
        return self._now_us() - max(self._slow_us, self._dispatch.bulk_us) > QUIET_US

    def _turn_for(self, event: Event) -> None:
        """All of a turn but what cannot be: nothing else waits, and nothing is due. Our thread
        sleeps until the deadline it knew, so it hears of an earlier one."""
        now = self._turned_us = self._caught_up_us = self._now_us()
        self._step(event, now)
        self._hand_over(now)
        before, self._deadline = self._deadline, self._core.next_deadline()
        if self._events or _time(self._deadline) < _time(before):
            self._inbox.ring()
        ended = self._now_us()
        if ended - now >= SLOW_US:
            self._slow_us = ended

    def _behind(self, now: int) -> Container[str]:
        """Groups in which nothing may end by time yet: an outcome may be among what was put off."""
        return self._put_off.groups if now - self._caught_up_us < BEHIND_MAX_US else ()

    def _hand_over(self, now: int) -> None:
        """What the steps have made goes to the writers and the front-end."""
        alone = not self._inbox and not self._events and not self._put_off
        for event in self._dispatch.append(now, alone):
            self._step(event, self._now_us())
        self._dispatch.flush()
        self._events += self._dispatch.follow_ups()

    def _take_waiting(self) -> None:
        while self._inbox and len(self._events) < TURN_EVENTS:
            self._take(self._inbox.take())

    def _sleep(self) -> None:
        self._inbox.wait(self._patience_s())

    def _patience_s(self) -> float | None:
        """How long nothing may happen before a turn is due; None is for good."""
        if self._events or self._put_off:
            return 0
        deadline = self._deadline
        if deadline is None or self._waits_for_drain:
            return None
        return min(max(0, deadline - self._now_us()) / 1e6, PATIENCE_S)

    def _take(self, item: Item) -> None:
        if isinstance(item, Events):
            self._events += (
                self._put_off.take(item.events, all_of_them=False) if self._put_off else item.events
            )
        elif isinstance(item, Written):
            self._events += self._dispatch.written(item)
        elif isinstance(item, Assembled):
            self._events += self._dispatch.fetched(item)
        elif isinstance(item, Drained):
            self._waits_for_drain = False
            self._drained = True
        elif isinstance(item, Ping):
            item.done()
        else:
            self._stopping = True

    def _step_events(self, now: int) -> None:
        """All that was taken, or as much as fills one commit, or a turn's time; the rest waits for
        the next turn. What is put off for want of time goes by connections from then on."""
        until = now + TURN_US
        taken = 0
        is_late = False
        for event in self._events:
            taken += 1
            self._step(event, now)
            is_late = self._now_us() >= until
            if is_late or self._dispatch.append_bytes >= TURN_BYTES:
                break
        del self._events[:taken]
        if is_late:
            self._events = self._put_off.take(self._events, all_of_them=True)

    def _step_waiting(self, until: int) -> None:
        """What was put off: at least one, so that nobody waits for good. It comes when all else
        has been handed over, so that nobody's commit or answer waits for it."""
        began = now = self._now_us()
        while self._put_off and self._dispatch.append_bytes < TURN_BYTES:
            event = self._put_off.next()
            self._step(event, now)
            ended = self._now_us()
            self._put_off.spent(event, ended - began)
            if ended >= until:
                return
            began = ended

    def _step(self, event: Event, now: int) -> None:
        self._dispatch.run(self._core.step(event, now), now, event)

    def _may_tick(self, late_us: int) -> bool:
        """Deadlines come after events; when late, only after all that had reached the socket. (Of
        groups for which requests were put off, the core lets nothing end meanwhile.)"""
        if self._events or self._waits_for_drain:
            return False
        if late_us > BEHIND_US and not self._drained:
            self._waits_for_drain = True
            self._ask_drain()
            return False
        self._drained = False
        return True


def _time(deadline: int | None) -> float:
    return math.inf if deadline is None else deadline


def _is_lone_push(item: Item) -> TypeGuard[Events]:
    if not isinstance(item, Events) or len(item.events) != 1:
        return False
    (event,) = item.events
    return type(event) is Push and event.size <= INLINE_BYTES
