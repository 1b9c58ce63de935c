"""One consumer's run, without threads or sockets: polls, the queue of what came, and its end.

Owns the session id, the poll that is outstanding and the messages nobody has started. Must never
know users' handlers, locks, event loops or a clock: `now` comes in, calls to the shell go out by
`notify` (something came or ended) and `wake` (a timer moved).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

from layby._fields import entries, number
from layby._lease import Lease, Run
from layby._link import NEVER, Link
from layby._pace import Pace
from layby._progress import Progress
from layby._queue import Queue
from layby._settling import DIVISIBLE, Flight, Lost, Settling
from layby._wire import Answer
from layby.errors import RETRY_S, LaybyError, UnknownGroup, refused

WAIT_S = 30.0
GRACE_S = 2.0
PARKED_S = 0.005
"""A prefetch poll that is older lies parked. A younger one's answer may be on its way, and would
be thrown away if the poll were replaced."""

ANSWER_LEASES = 16
SENDINGS_MAX = 8
"""Of one poll are listened for: what was sent longer ago went with its connection."""
WHY_PAUSES = {"nothing": 0.0, "replaced": 0.0, "taken back": 0.0, "restart grace": 0.05,
              "max out": 0.1}  # fmt: skip
WHY_PAUSE = 1.0


class Terms(NamedTuple):
    """What the user asked for in consume()."""

    group: str
    topics: tuple[str, ...]
    name: str = ""
    start: object = "earliest"
    lease_s: float | None = None
    prefetch: int | None = None
    prefetch_bytes: int = 4 << 20
    handlers: int = 1
    unit: int = 1


class _Poll:
    """The poll that is outstanding. `ids` are its sendings, the last one last, each with an id of
    its own: a broker that has the first still parked tells that one `replaced`, with the same n."""

    __slots__ = ("asked", "deadline", "fields", "flight", "idle", "ids", "n", "parked_at")

    def __init__(self, n: int, idle: int, asked: int, fields: dict[str, Any]) -> None:
        self.n = n
        self.ids: list[int] = []
        self.flight: Flight | None = None
        self.idle = idle
        self.asked = asked
        self.fields = fields
        self.deadline = NEVER
        self.parked_at = NEVER


class Session:
    """A part of the link."""

    def __init__(
        self,
        link: Link,
        terms: Terms,
        notify: Callable[[], object],
        lost: Callable[[list[Lost]], object],
    ) -> None:
        self.id = os.urandom(16)
        self.terms = terms
        self.unit = terms.unit
        self.waiting = 0
        self.filling = 0
        self.failure = link.failure
        self.stopped = False
        self.pace = Pace()
        self.settling = Settling(link, terms.group, lost)
        self.progress = Progress(link, terms.group, self.id)
        self.queue = Queue(self.settling, self.progress, self.pace)
        self._link = link
        self._notify = notify
        self._n = 0
        self._got = 0
        self._poll: _Poll | None = None
        self._old_polls: set[int] = set()
        self._not_before = 0.0
        self._eager = True
        self._fields = _standing_fields(terms, self.id)
        link.join(self)

    @property
    def starving(self) -> bool:
        """What is queued runs low: a poll is due."""
        return self._poll is None and self._poll_due(0.0) >= 0

    def run_ended(self, run: Run) -> None:
        """All its messages have outcomes."""
        self.progress.out.pop(run, None)

    # ---- polls

    def advance(self, now: float) -> None:
        if not self._link.up:
            return
        poll = self._poll
        if poll is not None and now >= poll.deadline:
            self._send(poll, now)
        if now >= self._not_before:
            idle = self._poll_due(now)
            if idle >= 0:
                self._poll_anew(idle, now)
        self.queue.watch(now)
        self.settling.advance(now)
        self.progress.advance(now)

    def deadline(self) -> float:
        if not self._link.up:
            return NEVER
        due = min(self.settling.deadline(), self.progress.deadline())
        if self._poll is not None:
            due = min(due, self._poll.deadline)
        poll = self._poll
        if self._poll_due(NEVER) >= 0:
            due = min(due, self._not_before if poll is None else poll.parked_at)
        return min(due, self.queue.look_at())

    def _poll_due(self, now: float) -> int:
        """The idle handlers to name in a poll that should be sent now; -1 for no poll."""
        if self.stopped or self.failure is not None:
            return -1
        idle = 0 if self.queue.messages else self.waiting
        poll = self._poll
        if poll is not None:
            return idle if idle > poll.idle and now >= poll.parked_at else -1
        if idle or self.filling:
            return idle
        if self.queue.a_hand_is_slow:
            return -1
        return 0 if self._eager and 2 * self.queue.messages < self._target() else -1

    def _target(self) -> int:
        """Messages to have in the queue while handlers work."""
        terms = self.terms
        if terms.prefetch is not None:
            return terms.prefetch
        credit = self.pace.credit(terms.handlers)
        return max(credit, self.unit) if self.unit > 1 and credit else credit

    def _poll_anew(self, idle: int, now: float) -> None:
        wanted = max(self._target(), (self.waiting + self.filling) * self.unit)
        asked = max(wanted - self.queue.messages, 1)
        if self._poll is not None:
            self._eager = self._eager and bool(self._poll.idle)  # it had nothing for prefetching
            self._old_polls.update(self._poll.ids)
        self._n += 1
        fields = {
            **self._fields,
            "n": self._n,
            "got": self._got,
            "messages": asked,
            "bytes": self.terms.prefetch_bytes,
            "wait_ms": int(WAIT_S * 1e3),
            "handlers": max(self.terms.handlers, idle),
            "idle": idle,
            **self.pace.told(),
        }
        self._place(_Poll(self._n, idle, asked, fields), now)

    def _place(self, poll: _Poll, now: float) -> None:
        if poll.idle:
            self.settling.leave(now)  # whoever is idle must not wait for a commit
        else:
            poll.flight = self.settling.ride(now + WAIT_S + GRACE_S)
        if poll.flight is not None:
            poll.fields["settle"] = poll.flight.entries
        self._poll = poll
        self._send(poll, now)

    def _send(self, poll: _Poll, now: float) -> None:
        request = self._link.claim(lambda said, heard: self._answered(poll, request, said, heard))
        poll.ids.append(request)
        if len(poll.ids) > SENDINGS_MAX:
            self._link.drop(poll.ids.pop(0))
        if poll.flight is not None:
            poll.flight.ids.add(request)
        poll.parked_at = now + (0.0 if poll.idle else PARKED_S)
        poll.deadline = now + poll.fields["wait_ms"] / 1e3 + GRACE_S
        self._link.send("poll", request, poll.fields)

    def _take_back(self, now: float) -> None:
        """No more is wanted: what may be on its way returns to the others."""
        if self._poll is None and self._got == self._n:
            return
        self.part()
        self._n += 1
        fields = {**self._fields, "n": self._n, "got": self._got, "messages": 0, "bytes": 0,
                  "wait_ms": 0}  # fmt: skip
        self._place(_Poll(self._n, 0, 0, fields), now)

    # ---- answers

    def _answered(self, poll: _Poll, request: int, answer: Answer, now: float) -> None:
        self._link.drop(request)
        self._old_polls.discard(request)
        said_last = request == poll.ids[-1]
        if not said_last:
            poll.ids.remove(request)
        is_current = poll is self._poll
        if is_current and (said_last or not _says_nothing(answer)):
            self._is_over(poll, now)  # whatever it says: the next one leaves in time
        self._carried(request, answer, now)
        if not is_current or self._poll is poll:
            return  # a newer one took its place, so its leases are not ours; or it is sent again
        if not answer.ok:
            self._refused(poll, answer, now)
            return
        leases = self._leases_of(answer, now)
        why = str(answer.fields.get("why", "nothing"))
        if leases or why != "replaced":  # which is no answer to n: what n brings goes back unheard
            self._got = poll.n  # only now: leases that cannot be read go back as unheard, too
        if leases:
            self._granted(poll, leases, now)
        else:
            self._nothing(why, now)

    def _is_over(self, poll: _Poll, now: float) -> None:
        """What its other sendings are told is the same, or nothing."""
        for request in poll.ids:
            self._link.drop(request)
        self._poll = None
        self._not_before = now + RETRY_S

    def _carried(self, request: int, answer: Answer, now: float) -> None:
        if answer.ok:
            self.settling.heard(request, entries(answer.fields, "refused"), now)
        else:
            self.settling.unheard(request, answer, now)

    def _leases_of(self, answer: Answer, now: float) -> list[Lease]:
        boot = self._link.boot or 0
        if "hand_back_ms" in answer.fields:
            self.pace.hand_back_after_s = number(answer.fields, "hand_back_ms") / 1e3
        grants = entries(answer.fields, "leases")
        return [
            Lease(grant, block, boot, now)
            for grant, block in zip(grants, answer.blocks, strict=True)
        ]

    def _refused(self, poll: _Poll, answer: Answer, now: float) -> None:
        """For what rode on it, perhaps: the next poll goes without. One that takes back has no
        next, and is sent again: nobody else asks for what is on its way."""
        refusal = refused(answer.fields)
        if not (refusal.retryable or (poll.flight is not None and refusal.code in DIVISIBLE)):
            self.fail(refusal)
        elif poll.asked:
            self._not_before = now + refusal.retry_s
        else:
            self._poll, poll.flight, poll.deadline = poll, None, now + refusal.retry_s
            poll.fields.pop("settle", None)

    def _granted(self, poll: _Poll, fresh: list[Lease], now: float) -> None:
        came = sum(lease.messages for lease in fresh)
        size = sum(len(lease.block.view) for lease in fresh)
        self._not_before = 0.0
        self._eager = (
            came >= poll.asked or len(fresh) >= ANSWER_LEASES or 2 * size >= poll.fields["bytes"]
        )
        for lease in fresh:
            self.progress.leased(lease, now)
        self.queue.add(fresh, now)
        if self.stopped:
            self.queue.give_back(now)
        else:
            self._notify()

    def _nothing(self, why: str, now: float) -> None:
        if why == "deleted":
            text = f"the group {self.terms.group} was deleted; a new poll would make it anew"
            self.fail(UnknownGroup(text, {"code": "unknown_group"}))
            return
        self._not_before = now + WHY_PAUSES.get(why, WHY_PAUSE)

    def fail(self, error: LaybyError) -> None:
        self.failure = error
        self.queue.give_back(0.0)
        self._notify()

    # ---- leaving

    def stop(self, now: float) -> None:
        """Nothing more is yielded; unstarted messages go back."""
        if not self.stopped:
            self.stopped = True
            self.queue.give_back(now)
            self._take_back(now)
            self._notify()

    def part(self) -> None:
        """Forget the poll that is out: what it brings goes back. So nothing is sent again behind a
        goodbye, which would make the session anew."""
        if self._poll is not None:
            self._old_polls.update(self._poll.ids)
            self._poll = None

    def leave(self) -> None:
        self._link.leave(self)

    # ---- a part of the link

    def connected(self, now: float) -> None:
        for request in self._old_polls:
            self._link.drop(request)
        self._old_polls.clear()
        if self._poll is not None:
            self._send(self._poll, now)
        self.settling.connected(now)
        self.progress.connected()

    def rebooted(self, now: float) -> None:
        """Leases are void: drop what is not started, it will be given again."""
        self.queue.clear()
        self.progress.rebooted()


def _says_nothing(answer: Answer) -> bool:
    """The next sending of the same poll may bring what this one did not."""
    fields = answer.fields
    return answer.ok and not entries(fields, "leases") and fields.get("why") != "deleted"


def _standing_fields(terms: Terms, session: bytes) -> dict[str, Any]:
    fields: dict[str, Any] = {"group": terms.group, "session": session, "start": terms.start}
    if terms.topics:
        fields["topics"] = list(terms.topics)
    if terms.name:
        fields["name"] = terms.name
    if terms.lease_s is not None:
        fields["lease_ms"] = int(terms.lease_s * 1e3)
    return fields
