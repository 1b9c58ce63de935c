"""What came and is not started: the queue between polls and handlers.

Owns the order, the hands that take from it, and giving it back when a hand is slow. Must never
know polls, threads or sockets.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque

from layby._lease import LIVE, UNSTARTED, Lease, Run
from layby._link import NEVER
from layby._pace import Pace
from layby._progress import Progress
from layby._settling import Settling

LATE_S = 0.01


class Hand:
    """One place where messages are worked on: the first run of those it has, None while it has
    none, and how many they are."""

    __slots__ = ("messages", "run", "slow")

    def __init__(self) -> None:
        self.run: Run | None = None
        self.messages = 0
        self.slow = False


class Queue:
    def __init__(self, settling: Settling, progress: Progress, pace: Pace) -> None:
        self.hands: list[Hand] = []
        self.messages = 0
        self.came = 0.0
        self._leases: deque[Lease] = deque()
        self._settling = settling
        self._progress = progress
        self._pace = pace
        self._look_at = NEVER

    def add(self, leases: list[Lease], now: float) -> None:
        if not self.messages:
            self.came = now
        for lease in leases:
            if lease.alone:
                self._leases.appendleft(lease)  # a suspect is worked on before anything else
            else:
                self._leases.append(lease)
        self.messages += sum(lease.messages for lease in leases)

    def clear(self) -> None:
        """The leases are void."""
        self._leases.clear()
        self.messages = 0

    # ---- what hands take

    def returned(self, hand: Hand, now: float) -> None:
        """The hand is done with what it had, and wants more."""
        run = hand.run
        if run is not None:
            deferred, done = run.lease.lane != LIVE, not run.left
            self._pace.add(hand.messages, now - run.since, deferred, done)
            hand.run = None

    def take(self, hand: Hand, now: float) -> Run | None:
        """The next message, now started."""
        lease = self._front(now)
        return None if lease is None else self._start(hand, lease, lease.next + 1, now)

    def take_batch(self, hand: Hand, messages: int, size: int, now: float) -> list[Run]:
        """Runs until a batch is full. Deferred messages are a batch of their own, neighbours only:
        what fails in company is not counted, so they would fail together for ever."""
        runs: list[Run] = []
        while messages > 0 and size > 0:
            lease = self._front(now)
            if lease is None or (runs and lease.apart):
                break
            run = self._take_run(hand, lease, messages, size, now, 0 if runs else 1)
            if run is None:
                break
            runs.append(run)
            messages -= run.left
            size -= lease.block.size(run.first, run.after)
            if lease.apart:
                break
        return runs

    def _take_run(
        self, hand: Hand, lease: Lease, messages: int, size: int, now: float, at_least: int
    ) -> Run | None:
        """The next of a lease: at most so many, and so many bytes; None when nothing fits."""
        ends = lease.block.ends
        fits = bisect_right(ends, ends[lease.next] + size, lease.next + 1) - 1
        after = max(lease.next + at_least, min(lease.messages, lease.next + messages, fits))
        if lease.apart:
            after = min(after, lease.neighbours_end(lease.next))
        if after == lease.next:
            return None
        return self._start(hand, lease, after, now)

    def _front(self, now: float) -> Lease | None:
        leases = self._leases
        while leases:
            lease = leases[0]
            if lease.next < lease.messages:
                if now < lease.until:
                    return lease
                self._forget(lease)
            leases.popleft()
        return None

    def _forget(self, lease: Lease) -> None:
        """It ended while we were cut off: what is not started was given to others."""
        self.messages -= lease.waiting
        lease.next = lease.messages
        self._progress.ended(lease)

    def _start(self, hand: Hand, lease: Lease, after: int, now: float) -> Run:
        run = Run(lease, lease.next, after, now)
        messages = after - lease.next
        self.messages -= messages
        lease.next = after
        self._progress.out[run] = None
        if hand.run is not None:
            hand.messages += messages
        else:
            hand.run = run
            hand.messages = messages
            hand.slow = False
        return run

    def fills(self, messages: int, size: int) -> bool:
        """Whether what is queued makes a whole batch, or nothing can be added to it."""
        if self.messages >= messages:
            return True
        total = 0
        for lease in self._leases:
            if lease.waiting:
                if lease.apart:
                    return True
                total += lease.block.size(lease.next, lease.messages)
        return total >= size

    # ---- what goes back

    @property
    def a_hand_is_slow(self) -> bool:
        return any(hand.slow and hand.run for hand in self.hands)

    def look_at(self) -> float:
        """When `watch` has something to see."""
        return self._look_at if self.messages else NEVER

    def watch(self, now: float) -> None:
        """A batch must not wait behind its own slow message: what is queued goes back, once per
        such message. Whoever looks late cannot tell a slow handler from a stopped process, so it
        looks again."""
        if not self.messages or now < self._look_at < NEVER:
            return
        slow_s = self._pace.slow_s()
        watched = [(one.run.since, one) for one in self.hands if one.run and not one.slow]
        oldest = min((since for since, _ in watched), default=now)
        if oldest + slow_s > now:
            self._look_at = oldest + slow_s
        elif self._look_at is not NEVER and now > self._look_at + LATE_S:
            self._look_at = now + slow_s / 2
        else:
            self._look_at = NEVER
            for since, hand in watched:
                hand.slow = since + slow_s <= now
            self.give_back(now)

    def give_back(self, now: float) -> int:
        """Release all that is not started; how many messages that was."""
        given = 0
        for lease in self._leases:
            first, after = lease.next, lease.messages
            if first == after:
                continue
            given += after - first
            lease.next = after
            lease.left -= after - first
            lease.state[first:after] = bytes((UNSTARTED,)) * (after - first)
            self._settling.note(lease, ((first, after),), UNSTARTED, now)
            if not lease.left:
                self._progress.ended(lease)
        self._leases.clear()
        self.messages = 0
        return given
