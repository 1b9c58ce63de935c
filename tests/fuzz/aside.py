"""A server that is no broker: it takes every connection, reads what comes and forgets it.

Owns its process. Must never know who connects. A crowd at it shows what the crowd alone costs
others on the same processors, whoever it is that is attacked.
"""

from __future__ import annotations

import selectors
import socket
from multiprocessing import get_context

BACKLOG = 1_024
READ_BYTES = 64 << 10
START_S = 60.0


class AsideProcess:
    """`port` is where it listens, on loopback; inside the context it serves."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        self.port: int = self._listener.getsockname()[1]
        spawn = get_context("spawn")
        self._process = spawn.Process(target=_serve, args=(self._listener,), daemon=True)

    def __enter__(self) -> AsideProcess:
        self._process.start()
        self._listener.close()
        with socket.create_connection(("127.0.0.1", self.port), START_S) as first:
            first.shutdown(socket.SHUT_WR)
            first.recv(1)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()


def _serve(listener: socket.socket) -> None:
    listener.setblocking(False)
    with selectors.DefaultSelector() as waiting:
        waiting.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in waiting.select():
                if key.fileobj is listener:
                    _take(waiting, listener)
                else:
                    _read(waiting, key.fileobj)


def _take(waiting: selectors.BaseSelector, listener: socket.socket) -> None:
    try:
        taken, _ = listener.accept()
    except OSError:  # it has gone while it waited
        return
    taken.setblocking(False)
    waiting.register(taken, selectors.EVENT_READ)


def _read(waiting: selectors.BaseSelector, taken: socket.socket) -> None:
    try:
        is_over = not taken.recv(READ_BYTES)
    except OSError:
        is_over = True
    if is_over:
        waiting.unregister(taken)
        taken.close()
