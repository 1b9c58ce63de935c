"""One run of a command: a message on its stdin, its end as a value.

Owns the child, its session and its stderr, which is passed on as it comes. Must never know what
becomes of the message.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

KILL_AFTER = 2.0
TAIL_BYTES = 4_096
CHUNK = 65_536
CHUNKS_DRAINED = 32


class Ended(NamedTuple):
    """`status` is the exit code, or minus the signal's number."""

    status: int
    last_line: str
    timed_out: bool = False
    stopped: bool = False


class Process:
    """A child in a session of its own, so that a terminal's Ctrl-C is ours alone."""

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[bytes, bytes],
        data: bytes,
        stdout: int | None = None,
    ) -> None:
        self._child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env=env,
            bufsize=0,
        )
        self._data = memoryview(data)
        self._tail = b""
        self._lock = threading.Lock()
        self._reaped = False
        self._timed_out = False
        self._stopped = False

    def stop(self, number: signal.Signals) -> None:
        """Ask everything in the session to end; its message is then given back."""
        self._stopped = True
        self._signal(number)

    def _signal(self, number: signal.Signals) -> None:
        with self._lock:
            if not self._reaped:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._child.pid, number)

    def finish(self, timeout: float | None = None) -> Ended:
        """Feed it, listen to it, wait for it."""
        gone, ended = os.pipe()
        watcher = threading.Thread(target=self._watch, args=(ended,), daemon=True)
        watcher.start()
        try:
            self._attend(gone, timeout)
        finally:
            watcher.join()
            os.close(gone)
        return self._reap()

    def _watch(self, ended: int) -> None:
        """Tell of the end without reaping: until then the process group's number stays ours."""
        os.waitid(os.P_PID, self._child.pid, os.WEXITED | os.WNOWAIT)
        os.close(ended)

    def _attend(self, gone: int, timeout: float | None) -> None:
        deadline = None if timeout is None else time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(gone, selectors.EVENT_READ)
            self._listen(selector)
            while True:
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                ready = {key.fd for key, _ in selector.select(left)}
                self._serve(selector, ready)
                if gone in ready:
                    return
                if deadline is not None and time.monotonic() >= deadline:
                    deadline = self._overdue(deadline)

    def _overdue(self, deadline: float) -> float | None:
        """TERM first; whoever is still there a while later gets KILL."""
        if self._timed_out:
            self._signal(signal.SIGKILL)
            return None
        self._timed_out = True
        self._signal(signal.SIGTERM)
        return deadline + KILL_AFTER

    def _listen(self, selector: selectors.BaseSelector) -> None:
        assert self._child.stdin is not None
        assert self._child.stderr is not None
        for stream, event in (
            (self._child.stdin, selectors.EVENT_WRITE),
            (self._child.stderr, selectors.EVENT_READ),
        ):
            os.set_blocking(stream.fileno(), False)
            selector.register(stream, event)

    def _serve(self, selector: selectors.BaseSelector, ready: set[int]) -> None:
        stdin, stderr = self._child.stdin, self._child.stderr
        assert stdin is not None
        assert stderr is not None
        if not stdin.closed and stdin.fileno() in ready and not self._feed(stdin.fileno()):
            selector.unregister(stdin)
            stdin.close()
        if not stderr.closed and stderr.fileno() in ready and not self._hear(stderr.fileno()):
            selector.unregister(stderr)
            stderr.close()

    def _feed(self, fd: int) -> bool:
        """False once there is nothing more to give, or nobody who takes it."""
        try:
            self._data = self._data[os.write(fd, self._data[:CHUNK]) :]
        except BlockingIOError:
            return True
        except OSError:
            return False
        return bool(self._data)

    def _hear(self, fd: int) -> bool:
        """Pass stderr on and remember its end; False once it is over."""
        try:
            chunk = os.read(fd, CHUNK)
        except BlockingIOError:
            return True
        self._keep(chunk)
        return bool(chunk)

    def _keep(self, chunk: bytes) -> None:
        self._tail = (self._tail + chunk)[-TAIL_BYTES:]
        _pass_on(chunk)

    def _reap(self) -> Ended:
        stdin, stderr = self._child.stdin, self._child.stderr
        assert stdin is not None
        assert stderr is not None
        if not stderr.closed:
            self._drain(stderr.fileno())
        if self._timed_out or self._stopped:
            self._signal(signal.SIGKILL)
        with self._lock:
            self._reaped = True
            status = self._child.wait()
        stdin.close()
        stderr.close()
        return Ended(status, self._last_line(), self._timed_out, self._stopped)

    def _drain(self, fd: int) -> None:
        """What is there, no more: a grandchild may hold the other end for ever."""
        with suppress(BlockingIOError):
            for _ in range(CHUNKS_DRAINED):
                self._keep(os.read(fd, CHUNK))

    def _last_line(self) -> str:
        lines = self._tail.decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _pass_on(chunk: bytes) -> None:
    """To our own stderr; a closed one is no reason to lose the run."""
    with suppress(OSError, ValueError):
        os.write(sys.stderr.fileno(), chunk)
