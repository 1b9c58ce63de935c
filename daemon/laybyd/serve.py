"""The process: one daemon, its signals, its word to systemd, its exit code.

Owns the main thread, which only waits: for a signal, for the daemon's end, for the next watchdog
beat. Must never know how the daemon does its work.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING, NoReturn

from laybyd.clock import monotonic_us
from laybyd.daemon import Daemon
from laybyd.errors import Bug, DaemonError, Exit
from laybyd.log import facts as log_facts
from laybyd.notify import Notifier
from laybyd.scheduler.inbox import Inbox
from laybyd.store.lmdb_store import LmdbStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from laybyd.config import Config

log = logging.getLogger("laybyd")

HOUSEKEEPING_S = 60.0
STOP_MARGIN_US = 10_000_000

START_BEAT_S = 20.0
START_MORE_US = 60_000_000
STARTS_FOR_S = 3_600.0
"""A start that takes long asks for a minute more every 20 seconds, for an hour at most: what is
not there by then hangs, and the service manager may try again."""


class Signalled(Exception):
    """Only a value in the main thread's queue: the process was asked to stop."""


class Process:
    """Waits in `run` for whatever comes first; every other thread only puts into its queue."""

    def __init__(self, config: Config) -> None:
        self._news: Inbox[DaemonError | Signalled | None] = Inbox()
        self._config = config
        self._store = LmdbStore(
            Path(config.store.path), config.store.max_bytes, config.store.segment_bytes
        )
        self._daemon = Daemon(config, self._store, self._news.put)
        self._notifier = Notifier()
        watchdog_s = self._notifier.watchdog_us / 1e6
        self._beat_s = min(HOUSEKEEPING_S, watchdog_s / 2 or HOUSEKEEPING_S)

    def run(self) -> Exit:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._news.put(Signalled()))
        with self._asking_for_time():
            self._daemon.start()
        self._say_ready()
        quiescing = False
        while True:
            try:
                news = self._news.get(self._beat_s)
            except Empty:
                self._beat()
                continue
            if isinstance(news, DaemonError):
                end_now(news)
            if isinstance(news, Signalled) and not quiescing:
                quiescing = True
                self._quiesce()
                continue
            return self._leave(at_once=isinstance(news, Signalled))

    @contextmanager
    def _asking_for_time(self) -> Iterator[None]:
        """Recovery takes what the disk takes; the service manager hears meanwhile that it goes
        on. The main thread is in it, so another one says so."""
        started = threading.Event()

        def ask() -> None:
            waited_s = 0.0
            while waited_s < STARTS_FOR_S and not started.wait(START_BEAT_S):
                waited_s += START_BEAT_S
                self._notifier.status(f"recovering the store, for {waited_s:.0f} s so far")
                self._notifier.extend_timeout(START_MORE_US)

        thread = threading.Thread(target=ask, name="layby-start", daemon=True)
        thread.start()
        try:
            yield
        finally:
            started.set()
            thread.join()

    def _say_ready(self) -> None:
        facts = self._store.facts()
        line = (
            f"ready on {', '.join(self._daemon.endpoints)} in {self._daemon.ready_ms:.0f} ms: "
            f"{self._config.store.path}, positions {facts.start}..{facts.end - 1}, "
            f"{facts.segments} segments, {facts.used / 1e6:.0f} of {facts.limit / 1e6:.0f} MB, "
            f"boot {self._daemon.fence.boot}"
        )
        log.info(line, extra=log_facts("ready"))
        self._notifier.ready(line)

    def _beat(self) -> None:
        self._daemon.ask_alive(self._notifier.alive)
        self._store.housekeep()

    def _quiesce(self) -> None:
        wait_s = self._config.core.quiesce_us / 1e6
        log.info(
            "stopping: taking nothing new in, waiting up to %.0f s for leases to end "
            "(a second signal stops at once)",
            wait_s,
            extra=log_facts("quiescing"),
        )
        self._notifier.stopping("waiting for leases to end")
        self._notifier.extend_timeout(self._config.core.quiesce_us + STOP_MARGIN_US)
        self._daemon.quiesce()

    def _leave(self, *, at_once: bool) -> Exit:
        began_us = monotonic_us()
        self._daemon.stop()
        how = "at once" if at_once else "with nothing left open"
        took_ms = (monotonic_us() - began_us) / 1e3
        log.info("stopped %s in %.0f ms", how, took_ms, extra=log_facts("stopped"))
        return Exit.OK


def end_now(error: DaemonError) -> NoReturn:
    """Stop rather than guess: the store is safe at any instant, the next start recovers."""
    log.critical("%s", error, extra=log_facts("ended", exit=int(error.exit)))
    logging.shutdown()
    os._exit(error.exit)


def note_unraisable(found: sys.UnraisableHookArgs) -> None:
    """A thread that lacks memory before its first step dies unheard, and whoever started it waits
    for ever (CPython's `Thread.start` waits for a sign of life)."""
    sys.__unraisablehook__(found)
    if isinstance(getattr(found.object, "__self__", None), threading.Thread):
        end_now(Bug("a thread ended before it began"))


def run(config: Config) -> Exit:
    """Serve until a signal. Raises DaemonError when it cannot start."""
    sys.unraisablehook = note_unraisable
    return Process(config).run()
