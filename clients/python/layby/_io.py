"""The I/O thread of a sync client: the only user of its socket.

Owns the thread, the socket, the wake-up byte and the lock that guards everything sans-io. Must
never know what the frames mean. One turn: do what is due, send, sleep until a frame, a byte or the
next deadline, receive.
"""

from __future__ import annotations

import contextlib
import logging
import math
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import zmq

from layby._chores import Chores
from layby._link import Link
from layby._socket import Context, Dealer
from layby.errors import Closed, closed_by

log = logging.getLogger("layby")

BURST = 64
"""Messages received in one turn, so that sends and timers get theirs."""


class IoThread:
    def __init__(self, endpoint: str, link: Link) -> None:
        self.lock = threading.Lock()
        self.clock = time.monotonic
        self._link = link
        self.context: Context = zmq.Context()
        self._bell, self._ear = socket.socketpair()
        self._bell.setblocking(False)
        self._ear.setblocking(False)
        self._rung = False
        self._calls: deque[Callable[[], object]] = deque()
        self.chores = Chores()
        self._ending = False
        try:
            self._dealer = Dealer(self.context, endpoint)
        except BaseException:
            self._dispose()
            raise
        self._thread = threading.Thread(target=self._run, name="layby-io", daemon=True)

    # ---- from any thread

    def may_wait(self) -> None:
        """Raises where waiting would be for the thread that waits."""
        if threading.current_thread() is self._thread:
            raise RuntimeError(
                "callbacks (on_lost, those of a future) run on the client's I/O thread, which all "
                "calls that wait need: have a thread of your own make this call"
            )

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """A timer moved or there is something to send."""
        if not self._rung:
            self._rung = True
            with contextlib.suppress(OSError):  # full: it is awake anyway; closed: it has ended
                self._bell.send(b"!")

    def call(self, call: Callable[[], object]) -> None:
        """Have it called in the I/O thread, under the lock. Takes no lock itself, so it may be
        used in a signal handler."""
        self._calls.append(call)
        self._rung = False
        self.wake()

    def stop(self) -> None:
        """End the thread; what is in the outbox is tried once more."""
        self._ending = True
        self._rung = False
        self.wake()
        if self._thread.is_alive():
            self._thread.join()
        self._dispose()

    # ---- the thread

    def _run(self) -> None:
        try:
            while not self._ending:
                self._turn()
            self._send()
        except BaseException as error:
            log.exception("the I/O thread of a layby client stopped")
            self._fail(closed_by("the client's I/O thread stopped", error))
        finally:
            self._dealer.close()

    def _fail(self, failure: Closed) -> None:
        """Whoever waits is told; whoever asks from now on finds it at the link."""
        with self.lock:
            self._link.fail(failure)
        self.chores.fail(failure)
        self._link.run_after()

    def _turn(self) -> None:
        now = self.clock()
        due = self.chores.run(now)
        with self.lock:
            while self._calls:
                self._calls.popleft()()
            due = min(due, self._link.advance(now))
        self._link.run_after()
        all_sent = self._send()
        if self._sleep(due, all_sent):
            self._receive()
            self._link.run_after()

    def _send(self) -> bool:
        outbox = self._link.outbox
        while outbox:
            frames = outbox[0]
            if not self._dealer.send(frames):
                return False
            if outbox and outbox[0] is frames:
                outbox.popleft()
        return True

    def _sleep(self, due: float, all_sent: bool) -> bool:
        """Until something happens or is due; whether there may be something to receive."""
        wait_ms = -1 if due == math.inf else max(0, math.ceil((due - self.clock()) * 1e3))
        watched: list[tuple[Any, int]] = [
            (self._dealer.socket, zmq.POLLIN if all_sent else zmq.POLLIN | zmq.POLLOUT),
            (self._dealer.monitor, zmq.POLLIN),
            (self._ear.fileno(), zmq.POLLIN),
        ]
        readable = False
        for what, events in zmq.zmq_poll(watched, wait_ms):
            if what is self._dealer.monitor:
                self._notice()
            elif what is not self._dealer.socket:
                self._hear()
            else:
                readable = bool(events & zmq.POLLIN)
        return readable

    def _hear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._ear.recv(4_096)
        self._rung = False

    def _notice(self) -> None:
        for came in self._dealer.changes():
            with self.lock:
                if came:
                    self._link.connected(self.clock())
                else:
                    self._link.disconnected()

    def _receive(self) -> None:
        for _ in range(BURST):
            frames = self._dealer.receive()
            if frames is None:
                return
            with self.lock:
                self._link.receive(frames, self.clock())

    def _dispose(self) -> None:
        self.context.term()
        self._bell.close()
        self._ear.close()
