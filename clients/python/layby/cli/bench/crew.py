"""Work in other processes (or in threads, when asked): start it, stop it, get what it returns.

Owns the workers and the flag that ends them. Must never know what they do. Processes are spawned
afresh, so that measured clients share neither a lock nor a socket with each other.
"""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import RawValue
from types import TracebackType
from typing import Any, Protocol

from layby.cli.trouble import Trouble


class Flag(Protocol):
    """What both `threading.Event` and its twin between processes can do."""

    def is_set(self) -> bool: ...
    def set(self) -> None: ...


class SharedFlag:
    """A byte in shared memory. No lock: a process killed while it held one would stop us all."""

    def __init__(self) -> None:
        self._byte = RawValue("b", 0)

    def is_set(self) -> bool:
        return bool(self._byte.value)

    def set(self) -> None:
        self._byte.value = 1


NEVER: Flag = threading.Event()
"""For work that nobody ends early."""


class Crew:
    """Workers that are all gone when the `with` block ends."""

    def __init__(self, threads: bool = False) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._threads = threads
        self._workers: list[Any] = []
        self._stop: Flag = threading.Event() if threads else SharedFlag()

    def start(self, work: Callable[..., Any], *args: object) -> Connection:
        """`work(report, stop, *args)` runs elsewhere; `report` sends what `take` receives."""
        here, there = self._context.Pipe(duplex=False)
        kind: Any = threading.Thread if self._threads else self._context.Process
        worker = kind(target=_run, args=(work, there, self._stop, args), daemon=True)
        worker.start()
        self._workers.append(worker)
        if not self._threads:
            there.close()
        return here

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for worker in self._workers:
            worker.join(timeout=10)
            if not self._threads and worker.is_alive():
                worker.terminate()
                worker.join()


def take(connection: Connection) -> Any:
    """What a worker reports next."""
    try:
        kind, value = connection.recv()
    except EOFError:
        raise Trouble("worker_died", "a process of the measurement died") from None
    if kind == "failed":
        raise Trouble("worker_failed", value)
    return value


def _run(work: Callable[..., Any], there: Connection, stop: Flag, args: tuple[Any, ...]) -> None:
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        work(lambda value: there.send(("report", value)), stop, *args)
    except Exception as error:
        there.send(("failed", f"{type(error).__name__}: {error}"))
    finally:
        there.close()
