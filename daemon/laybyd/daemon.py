"""The wiring: builds the parts of one broker, starts them in order, and stops them in order.

Owns the lifecycle: recovery, readiness, quiesce, the end. Must never hold a rule of delivery or a
fact about bytes. What can go wrong while it runs arrives at `fail`, once, from any thread.
"""

from __future__ import annotations

import gc
import logging
import sys
import threading
from typing import TYPE_CHECKING

from laybyd import __version__
from laybyd.clock import LaybyClock, monotonic_us
from laybyd.config import Config
from laybyd.errors import Bug, CommitFailed, DaemonError, NoRight, StoreDamaged, StoreInUse
from laybyd.frontend.frontend import FrontEnd, Setup
from laybyd.scheduler.appends import Appends
from laybyd.scheduler.bodies import Bodies
from laybyd.scheduler.dispatch import Dispatch, Outlets, Workers
from laybyd.scheduler.loading import loaded_core
from laybyd.scheduler.log_writer import LogWriter
from laybyd.scheduler.reader import Reader
from laybyd.scheduler.ring import Ring
from laybyd.scheduler.scheduler import Ping, Scheduler
from laybyd.scheduler.state_thread import StateThread
from laybyd.store import base, records
from laybyd.store.memory import MemoryStore
from laybyd.wire.encode import Greeting
from laybyd.wire.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from laybyd.scheduler.scheduler import Item

log = logging.getLogger("laybyd")

SWITCH_INTERVAL_S = 0.0005
"""A thread that comes back from a flush waits this long for the GIL at worst, not 5 ms."""

GC_THRESHOLDS = (50_000, 20, 100)
"""Most objects here live either for a turn or for good: young collections are nearly free."""


class Daemon:
    """One broker in this process. `start`, then `quiesce` or `stop`; `on_end` is called once, on
    any thread, with None when it has quiesced and with the error when it cannot go on."""

    def __init__(
        self,
        config: Config,
        store: base.Store,
        on_end: Callable[[DaemonError | None], None] = lambda error: None,
    ) -> None:
        self._config = config
        self._store = store
        self._on_end = on_end
        self._ended = threading.Lock()

    @classmethod
    def in_memory(cls, overrides: Mapping[str, object] | None = None) -> Daemon:
        """A broker whose store is gone with it, on a free port of loopback: for tests."""
        settings = {"listen": ["tcp://127.0.0.1:0"], **(overrides or {})}
        return cls(Config.default(**settings), MemoryStore())

    @property
    def endpoints(self) -> list[str]:
        return self._front.endpoints

    @property
    def endpoint(self) -> str:
        return self.endpoints[0]

    def start(self) -> None:
        """Own the store, recover, build, serve. Raises DaemonError."""
        began_us = monotonic_us()
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self.fence = acquired(self._store)
        records.begin_boot(self._store, self.fence)
        self._build()
        self._workers.writer.start()
        self._workers.state.start()
        self._workers.reader.start()
        self._scheduler.start()
        try:
            self._front.start()
        except BaseException:
            self._stop_inside()
            raise
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        self.ready_ms = (monotonic_us() - began_us) / 1e3

    def quiesce(self) -> None:
        """Take nothing new in, let leases end, then call `on_end(None)`."""
        self._scheduler.quiesce()

    def stop(self) -> None:
        """Answer what is decided, finish what is being committed, and let go of the store."""
        self._front.stop()
        self._stop_inside()

    def facts(self) -> base.StoreFacts:
        return self._store.facts()

    def ask_alive(self, alive: Callable[[], None]) -> None:
        """Call `alive` once both loops have taken a turn from now."""
        self._front.ping(lambda: self._scheduler.put(Ping(alive)))

    # ---- inside

    def _build(self) -> None:
        config, store = self._config, self._store
        facts = store.facts()
        clock = LaybyClock(max(facts.last_us, records.load_clock(store)))
        core = loaded_core(config.core, self.fence, store, clock.now_us())
        limits = config.limits
        report = self._report
        writer = LogWriter(store, self.fence, clock.now_us, report, self._fail)
        state = StateThread(store, self.fence, Bodies(store, limits.max_block), report, self._fail)
        reader = Reader(store, Bodies(store, limits.max_block), report, self._fail)
        self._workers = Workers(writer, state, reader)
        busy_retry_ms = config.core.busy_retry_ms
        setup = Setup(config.listen, limits.pending_bytes, busy_retry_ms, self._greeting())
        self._front = FrontEnd(setup, self._receive, self._fail)
        dispatch = Dispatch(
            store,
            self.fence,
            self._workers,
            Bodies(store, limits.max_block),
            Ring(limits.ring_bytes),
            Appends(limits.max_block, limits.max_messages),
            Outlets(
                core.gid_of,
                self._front.send,
                self._front.pending.push_done,
                self._front.pending.request_done,
                self._quiesced,
                self._front.counters,
            ),
        )
        self._scheduler = Scheduler(core, dispatch, clock.now_us, self._front.ask_drain, self._fail)

    def _greeting(self) -> Greeting:
        store_id, epoch, boot = self.fence
        return Greeting(f"layby {__version__}", store_id, epoch, boot, wire_limits(self._config))

    def _receive(self, item: Item) -> None:
        self._scheduler.receive(item)

    def _report(self, item: Item) -> None:
        self._scheduler.put(item)

    def _stop_inside(self) -> None:
        self._scheduler.stop()
        self._workers.reader.stop()
        self._workers.writer.stop()
        self._workers.state.stop()
        self._store.close()

    def _quiesced(self) -> None:
        self._end(None)

    def _fail(self, error: BaseException) -> None:
        self._end(_as_daemon_error(error))

    def _end(self, error: DaemonError | None) -> None:
        if self._ended.acquire(blocking=False):
            self._on_end(error)


def wire_limits(config: Config) -> Limits:
    limits = config.limits
    return Limits(
        max_message=limits.max_message,
        max_block=limits.max_block,
        max_messages=limits.max_messages,
        wait_ms=limits.wait // 1_000,
    )


def acquired(store: base.Store) -> base.Fence:
    try:
        return store.acquire()
    except base.StoreError as error:
        raise _as_daemon_error(error) from error


def _with_hint(text: str) -> str:
    hint = "`layby store check` says more, a backup brings it back"
    return text if "backup" in text else f"{text}; {hint}"


def _as_daemon_error(error: BaseException) -> DaemonError:
    if isinstance(error, DaemonError):
        return error
    if isinstance(error, base.Damaged):
        return StoreDamaged(_with_hint(str(error)))
    if isinstance(error, base.InUse):
        return StoreInUse(str(error))
    if isinstance(error, base.Unavailable):
        return NoRight(str(error))
    if isinstance(error, base.StoreError):
        return CommitFailed(str(error))
    return Bug(f"{type(error).__name__}: {error}")
