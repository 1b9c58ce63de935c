"""A real daemon as a fork of this process, with the shim's orders, and a peer that talks to it.

Owns the process and the few bounds that are made tiny, so that every rare step of the store comes
often. Must never know what the daemon is asked to do. (A fork starts in a tenth of the time that a
new interpreter takes; what runs in it is the command's own code.)
"""

from __future__ import annotations

import logging
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zmq

from laybyd import cli, serve
from laybyd.config import Config
from laybyd.core import journal
from laybyd.store import statedb, writer
from loadtests.wire import Peer
from tests.crash import shim
from tests.crash.knowledge import MAX_ATTEMPTS

if TYPE_CHECKING:
    from tests.crash.shim import Orders

SEGMENT_BYTES = 96 << 10
SEGMENTS = 8
STATE_BYTES = 8 << 20
SERVED = serve.__name__
"""Imported here, so that a fork need not: what fails in a trial is the daemon's own doing."""

READY_S = 60.0
END_S = 60.0

SETTINGS: dict[str, object] = {
    "groups.lease": "10m",
    "groups.backoff": ["0s"],
    "groups.max_attempts": MAX_ATTEMPTS,
    "groups.idle_after": "0s",
    "groups.max_wait": "1h",
    "broker.restart_grace": "0s",
    "broker.settle_flush": "1ms",
    "log.format": "text",
}


def make_tiny() -> None:
    """Compaction, checkpoints and the reserve at sizes that a short workload reaches."""
    journal.DELTAS_MAX = 6
    writer.CHECKPOINT_COMMITS = 5
    statedb.BALLAST_BYTES = 64 << 10


def config(store: Path, url: str) -> Config:
    """Segments smaller than an operator may ask for."""
    whole = Config.default(listen=[url], **SETTINGS)
    section = whole.store.model_copy(
        update={
            "path": store,
            "segment_bytes": SEGMENT_BYTES,
            "max_bytes": SEGMENT_BYTES * SEGMENTS * 4 // 3,
        }
    )
    return whole.model_copy(update={"store": section})


class Ended(Exception):
    """The daemon has ended by itself; `code` as the shell would say it."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the daemon ended with {code}")
        self.code = code


class Silent(Exception):
    """The daemon runs and does not answer."""


class Broker:
    def __init__(self, home: Path, store: Path, orders: Orders | None) -> None:
        self.code: int | None = None
        self._home = home
        self._orders = orders
        self._url = f"ipc://{home}/socket"
        self._config = config(store, self._url)
        self._context: zmq.Context[Any] | None = None

    def start(self) -> None:
        """Raises Ended or Silent."""
        self.code = None
        self.pid = os.fork()
        if not self.pid:
            self._serve()
        self._context = zmq.Context()
        self.peer = Peer(self._context, self._url)
        self.peer.send("hello")
        self.answer(READY_S)

    def _serve(self) -> None:
        try:
            log = os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(log, 2)
            logging.disable(logging.NOTSET)
            if self._orders:
                shim.start(self._orders)
            os._exit(cli._serve(self._config))
        finally:
            os._exit(99)

    @property
    def log_path(self) -> Path:
        return self._home / "log"

    def answer(self, within_s: float) -> Any:
        """The next answer. Raises Ended when the daemon is gone and all it said is read."""
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            gone = self._is_gone()
            if (found := self.peer.receive(0 if gone else 20)) is not None:
                return found
            if gone:
                self._let_go()
                raise Ended(self.code or 0)
        raise Silent(f"no answer within {within_s:.0f} s")

    def serves(self) -> bool:
        """Whether it answers somebody new."""
        assert self._context is not None
        self.peer = Peer(self._context, self._url)
        self.peer.send("hello")
        return bool(self.answer(READY_S)["ok"])

    def _is_gone(self) -> bool:
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is not None

    def _let_go(self) -> None:
        if self._context is not None:
            self._context.destroy(linger=0)
            self._context = None

    def kill(self) -> None:
        if not self._is_gone():
            os.kill(self.pid, signal.SIGKILL)
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self._let_go()

    def stop(self) -> int:
        """Without waiting for leases; its exit code. Raises Silent."""
        end = time.monotonic() + END_S
        while not self._is_gone():
            if time.monotonic() > end:
                self.kill()
                raise Silent(f"it did not stop within {END_S:.0f} s")
            os.kill(self.pid, signal.SIGTERM)
            self.peer.receive(20)
        self._let_go()
        assert self.code is not None
        return self.code
