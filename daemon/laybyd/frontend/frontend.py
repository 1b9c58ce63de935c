"""The front-end: frames in, events on; answers in, frames out.

Owns the ROUTER socket, the thread that serves it, and the lock without which nobody touches it (a
zmq socket may change threads over a full memory barrier, and a lock is one). Must never decide
what is answered (the core does) or read the store. It never stops reading: above `pending_bytes`
a push loses its bytes here and is refused `busy` by the core, so that settles are never stuck
behind bulk; and a connection with more other requests waiting than it may have is refused here.
(But for a lone push it waits for the disk itself, when nothing else goes on: see the scheduler.)
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter, deque
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import uvloop
import zmq

from laybyd.clock import monotonic_us
from laybyd.core.effects import Deliver
from laybyd.core.events import Event, Push, Undelivered
from laybyd.frontend.backlog import Backlog
from laybyd.frontend.claims import Claims
from laybyd.frontend.pending import Pending
from laybyd.frontend.socket import bound_router
from laybyd.log import Throttle
from laybyd.scheduler.appends import held_bytes
from laybyd.scheduler.scheduler import Drained, Events
from laybyd.wire.decode import Hello, Refusal, decode
from laybyd.wire.encode import Greeting, encode, encode_hello, encode_refusal
from laybyd.wire.limits import FRAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from laybyd.scheduler.delivery import Outgoing
    from laybyd.scheduler.scheduler import Item
    from laybyd.wire.limits import Limits

log = logging.getLogger("laybyd.frontend")

DRAIN_MESSAGES = 256
DRAIN_US = 5_000
"""So much is taken in one go, so that sends and timers get their turn, and the scheduler hears of a
small request though somebody's large ones take long to decode."""

ZERO_COPY_BYTES = 64 << 10
"""From here sending a frame costs less than copying it."""

OVERHEAD_BYTES = 4 << 10

NOW = int(zmq.NOBLOCK)
NOW_AND_MORE = int(zmq.NOBLOCK | zmq.SNDMORE)
EVENTS, POLLIN = int(zmq.EVENTS), int(zmq.POLLIN)
"""Plain numbers: combining pyzmq's enums costs more than the calls they go into."""

TOO_MANY = "too many requests of this connection wait already; send it again after retry_ms"

RETRY_S = 0.002
"""libzmq does not tell when a peer's queue has room again; only while answers wait."""


class Setup(NamedTuple):
    listen: Sequence[str]
    pending_bytes: int
    busy_retry_ms: int
    greeting: Greeting

    @property
    def limits(self) -> Limits:
        return self.greeting.limits


class FrontEnd:
    """`put` takes what the scheduler must know; `fail` ends the daemon."""

    def __init__(
        self, setup: Setup, put: Callable[[Item], None], fail: Callable[[BaseException], None]
    ) -> None:
        self._setup = setup
        self._put = put
        self._fail = fail
        self._outbox: deque[Outgoing] = deque()
        self._woken = False
        self._skipping = False
        self._received: list[Event] = []
        self.pending = Pending(setup.pending_bytes)
        self._throttle = Throttle(log)
        self.counters: Counter[str] = Counter()
        self._backlog = Backlog(self._sent)
        self._retry: asyncio.TimerHandle | None = None
        self._claims = Claims()
        self.endpoints: list[str] = []
        self._using = threading.Lock()
        self._broken = False
        self._bound = threading.Event()
        self._error: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="layby-wire", daemon=True)

    # ---- from other threads

    def start(self) -> None:
        """Bind and serve; returns when bound. Raises what binding raised."""
        self._thread.start()
        self._bound.wait()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def send(self, outgoing: list[Outgoing]) -> None:
        if len(outgoing) == 1 and self._sent_at_once(outgoing[0]):
            return
        self._outbox.extend(outgoing)
        if not self._woken:
            self._woken = True
            self._loop.call_soon_threadsafe(self._flush)

    def _sent_at_once(self, answer: Outgoing) -> bool:
        """One small answer leaves on the caller's thread when ours is not at the socket: waking it
        is a tenth of the time of a lone push. What is not plainly sent is left to it."""
        effect, blocks = answer
        if blocks or not self._using.acquire(blocking=False):
            return False
        try:
            if self._outbox or self._broken:
                return False
            frames = encode(effect, blocks, self._setup.greeting.boot)
            sent = not self._backlog.holds(frames[0]) and self._sent(frames)
            self._look_again()
        except KeyError:
            return False
        except BaseException:
            self._broken = True
            raise
        finally:
            self._using.release()
        return sent

    def _look_again(self) -> None:
        """ZMQ_FD is edge-triggered, and sending outside a drain may have eaten the edge."""
        if self._is_readable():
            self._loop.call_soon_threadsafe(self._pump)

    def ask_drain(self) -> None:
        self._loop.call_soon_threadsafe(self._drain_all)

    def ping(self, done: Callable[[], None]) -> None:
        self._loop.call_soon_threadsafe(done)

    # ---- the thread

    def _run(self) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            self._router, self.endpoints = bound_router(
                context,
                self._setup.listen,
                self._setup.limits.max_block + OVERHEAD_BYTES,
                self._claims,
            )
        except BaseException as error:
            self._error = error
            context.term()
            self._claims.release()
            self._bound.set()
            return
        self._fd = cast("int", self._router.fd)
        try:
            self._loop.add_reader(self._fd, self._pump)
            self._loop.call_soon(self._pump)
            self._bound.set()
            self._loop.run_forever()
            self._flush()
        except BaseException as error:
            log.exception("the front-end stopped")
            self._error = error
            self._bound.set()
            self._fail(error)
        finally:
            self._loop.remove_reader(self._fd)
            with self._using:
                self._router.close()
            context.term()
            self._claims.release()
            self._loop.close()

    def _guard(self, step: Callable[[], Any]) -> Any:
        """A step on the socket. After one that failed half a message may be in it, and what came
        next would pass for its rest: no other follows."""
        with self._using:
            return True if self._broken else self._or_end(step)

    def _or_end(self, step: Callable[[], Any]) -> Any:
        """Callbacks of the loop swallow exceptions; ours must end the daemon."""
        try:
            return step()
        except BaseException as error:
            self._broken = True
            log.exception("the front-end stopped")
            self._fail(error)
            raise

    # ---- in

    def _pump(self) -> None:
        empty = self._guard(self._drain)
        self._hand_on()
        if not empty:
            self._loop.call_soon(self._pump)

    def _drain_all(self) -> None:
        """Everything that is here now, then tell the scheduler so."""
        empty = self._guard(self._drain)
        self._hand_on()
        if empty:
            self._or_end(lambda: self._put(Drained()))
        else:
            self._loop.call_soon(self._drain_all)

    def _drain(self) -> bool:
        """Take what one go takes; whether the socket is empty. ZMQ_FD is edge-triggered, so
        whoever stops early must come back by itself."""
        until = monotonic_us() + DRAIN_US
        for taken in range(DRAIN_MESSAGES):
            if taken == 1 and not self._is_readable():
                return True  # most often there is one; the exception that says so costs more
            frames = self._receive()
            if frames is None:
                return True
            if frames:
                self._take(frames)
                if monotonic_us() >= until:
                    break
        return False

    def _is_readable(self) -> bool:
        return bool(cast("int", self._router.getsockopt(EVENTS)) & POLLIN)

    def _hand_on(self) -> None:
        """Not while the socket is held: a lone push is answered in here. What is decided leaves
        before that, for it may take a flush of the disk. (Whoever put it there has asked for
        `_flush`, which looks at the socket again.)"""
        if self._received:
            if self._outbox:
                self._guard(self._send_all)
            events, self._received = self._received, []
            self._or_end(lambda: self._put(Events(events)))

    def _receive(self) -> list[bytes | zmq.Frame] | None:
        """One message's frames, or the first too many of them; [] while the rest of such a
        message is skipped, one frame a call; None when nothing is there."""
        receive = self._router.recv
        try:
            if self._skipping:
                self._skipping = receive(NOW, copy=False).more
                return []
            frames: list[bytes | zmq.Frame] = [receive(NOW)]
        except zmq.Again:
            return None
        while True:
            frame = receive(NOW, copy=False)
            frames.append(frame)
            if not frame.more:
                return frames
            if len(frames) > FRAMES:
                self._skipping = True
                return frames

    def _take(self, frames: Sequence[bytes | zmq.Frame]) -> None:
        try:
            event = decode(frames, self._setup.limits)
        except Refusal as refusal:
            self._refuse(refusal)
            return
        if isinstance(event, Hello):
            self._transmit(encode_hello(event, self._setup.greeting))
            return
        if type(event) is Push:
            if not self.pending.push(held_bytes(event)):
                self.counters["busy"] += 1
                event = event._replace(body=None)
        elif not self.pending.request(event.caller.peer, sum(map(len, frames))):
            self._refuse(
                Refusal(event.caller, "busy", TOO_MANY, retry_ms=self._setup.busy_retry_ms)
            )
            return
        self._received.append(event)

    def _refuse(self, refusal: Refusal) -> None:
        self.counters[refusal.code] += 1
        text = f"refused a request, {refusal.code}: {refusal.text}"
        self._throttle.log(logging.INFO, refusal.code, text)
        self._transmit(encode_refusal(refusal, self._setup.greeting.boot))

    # ---- out

    def _flush(self) -> None:
        self._woken = False
        self._guard(self._send_all)
        self._pump()

    def _send_all(self) -> None:
        boot = self._setup.greeting.boot
        unheard: list[Event] = []
        while self._outbox:
            effect, blocks = self._outbox.popleft()
            sent = self._transmit(encode(effect, blocks, boot), small=not blocks)
            if not sent and isinstance(effect, Deliver) and effect.leases:
                unheard.append(Undelivered(effect.caller, effect.group, effect.lease_ids))
        if unheard:
            self._put(Events(unheard))

    def _transmit(self, frames: Sequence[Any], *, small: bool = True) -> bool:
        """Whether the message is on its way; False when the peer is gone or does not read. Small
        answers may wait for a peer that has asked for many at once; blocks never do."""
        peer = frames[0]
        try:
            if not self._backlog.holds(peer) and self._sent(frames):
                return True
        except KeyError:
            small = False
        if small and self._backlog.add(frames):
            self._retry_soon()
            return True
        self.counters["undelivered"] += 1
        return False

    def _sent(self, frames: Sequence[Any]) -> bool:
        """Whether libzmq took it; raises KeyError when there is no such peer."""
        last = len(frames) - 1
        send = self._router.send
        try:
            for number, frame in enumerate(frames):
                flags = NOW_AND_MORE if number < last else NOW
                send(frame, flags, copy=len(frame) < ZERO_COPY_BYTES)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno == zmq.EHOSTUNREACH:
                raise KeyError(frames[0]) from error
            raise
        return True

    def _retry_soon(self) -> None:
        if self._retry is None:
            self._retry = self._loop.call_later(RETRY_S, self._guard, self._retry_backlog)

    def _retry_backlog(self) -> None:
        self._retry = None
        self.counters["undelivered"] += self._backlog.retry()
        if self._backlog:
            self._retry_soon()
        self._loop.call_soon(self._pump)
