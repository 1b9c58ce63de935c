"""Where outcomes are handed in: the one place that messages and batches call, from any thread.

Owns the rules of outcomes: one each, and what `with message:` does at its end. Must never know
polls, threads, event loops or sockets: it is given a lock, a clock and a way to wake whoever sends.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, Literal

from layby import _fork
from layby._given import as_hold_ms, as_reason
from layby._lease import ACK, DEFER, FAIL, OUTCOMES, RELEASE, Run
from layby._session import Session
from layby._units import Seconds
from layby.errors import AlreadySettled

log = logging.getLogger("layby")

OnError = Literal["continue", "raise"]


class Desk:
    def __init__(
        self,
        session: Session,
        lock: AbstractContextManager[Any],
        clock: Callable[[], float],
        wake: Callable[[], object],
        on_error: OnError,
    ) -> None:
        if on_error not in ("continue", "raise"):
            raise ValueError('on_error is "continue" or "raise"')
        self._session = session
        self._lock = lock
        self._clock = clock
        self._wake = wake
        self._raises = on_error == "raise"
        self._born = _fork.generation

    def settle(
        self, run: Run, index: int, outcome: int, reason: str = "", delay_ms: int = -1
    ) -> None:
        """One message. A second, different outcome raises AlreadySettled."""
        if self._born != _fork.generation:
            _fork.check(self._born)
        reason = as_reason(reason) if reason else ""
        with self._lock:
            lease = run.lease
            was = lease.state[index]
            if was:
                _same(was, outcome)
                return
            lease.state[index] = outcome
            session = self._session
            settling = session.settling
            now = self._clock()
            if outcome == ACK:
                first = settling.acked(lease, index, now)
            else:
                pieces = ((index, index + 1),)
                first = settling.note(lease, pieces, outcome, now, reason, delay_ms)
            self._close(run, 1)
        if first:
            self._wake()

    def settle_rest(
        self, runs: Iterable[Run], outcome: int, reason: str = "", delay_ms: int = -1
    ) -> None:
        """Every message of the runs that has no outcome."""
        _fork.check(self._born)
        reason = as_reason(reason)
        with self._lock:
            first = False
            for run in runs:
                if run.left:
                    pieces = list(run.open_pieces())
                    first |= self._note(run, pieces, outcome, reason, delay_ms)
        if first:
            self._wake()

    def _note(
        self,
        run: Run,
        pieces: list[tuple[int, int]],
        outcome: int,
        reason: str,
        delay_ms: int = -1,
    ) -> bool:
        """Open pieces of a run; whether a timer begins."""
        if not pieces:
            return False
        settled = 0
        for begin, end in pieces:
            run.lease.state[begin:end] = bytes((outcome,)) * (end - begin)
            settled += end - begin
        now = self._clock()
        first = self._session.settling.note(run.lease, pieces, outcome, now, reason, delay_ms)
        self._close(run, settled)
        return first

    def _close(self, run: Run, messages: int) -> None:
        run.left -= messages
        if not run.left:
            self._session.run_ended(run)
        lease = run.lease
        lease.left -= messages
        if not lease.left:
            self._session.progress.ended(lease)

    def extend(self, run: Run, index: int, length: Seconds) -> None:
        hold_ms = as_hold_ms(length)
        with self._lock:
            self._session.progress.hold(run.lease.position(index), hold_ms)
        self._wake()

    # ---- the end of a with block

    def leave(self, run: Run, index: int, error: BaseException | None) -> bool:
        """`with message:` ends; whether the exception is swallowed."""
        state = run.lease.state
        if error is None:
            if not state[index]:
                self.settle(run, index, ACK)
            return False
        if not isinstance(error, Exception):
            if not state[index]:
                self.settle(run, index, RELEASE)
            return False
        if not state[index]:
            self.settle(run, index, FAIL, describe(error))
        return self._swallow(error)

    def leave_batch(self, runs: list[Run], error: BaseException | None) -> bool:
        """`with batch:` ends. What fails together is one range: one of these is bad."""
        if error is None:
            self.settle_rest(runs, ACK)
            return False
        if not isinstance(error, Exception):
            self.settle_rest(runs, RELEASE)
            return False
        self.fail_rest(runs, describe(error))
        return self._swallow(error)

    def fail_rest(self, runs: Iterable[Run], reason: str) -> None:
        """What fails together is one range to the broker: one of these is bad, nobody is counted.
        A range of one message would be counted, though it failed in company: it is deferred
        instead, and comes again by itself."""
        _fork.check(self._born)
        reason = as_reason(reason)
        with self._lock:
            rest = [run for run in runs if run.left]
            alone = sum(run.left for run in rest) == 1
            first = False
            for run in rest:
                pieces = [part for piece in run.open_pieces() for part in run.lease.split(*piece)]
                several = [part for part in pieces if alone or part[1] - part[0] > 1]
                single = [part for part in pieces if part not in several]
                first |= self._note(run, several, FAIL, reason)
                first |= self._note(run, single, DEFER, reason, 0)
        if first:
            self._wake()

    def _swallow(self, error: Exception) -> bool:
        if self._raises:
            return False
        log.error("a message's handler raised %s", describe(error), exc_info=error)
        return True


def _same(was: int, outcome: int) -> None:
    if OUTCOMES[was] != OUTCOMES[outcome]:
        raise AlreadySettled(f"the message has the outcome {OUTCOMES[was]} already")


def describe(error: BaseException) -> str:
    """As it stands in a history: `Type: text`. Whoever wrote its __str__ may have erred, too."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return f"{type(error).__name__}: (no text: its __str__ raised)"
