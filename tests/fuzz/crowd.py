"""Hostile peers at a socket: bytes that are no ZeroMQ, and ZeroMQ gone bad.

Owns what a bad peer does, and the process that bad peers live in. Must never know who else is
there, nor what becomes of it.
"""

from __future__ import annotations

import contextlib
import random
import socket
import struct
from collections import Counter, deque
from multiprocessing import get_context
from typing import TYPE_CHECKING

import msgpack

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

OPEN = 60
"""Bad connections that stay open behind the one that is made."""

MANY_FRAMES = 100_000
TIMEOUT_S = 20.0
PATIENCE_S = 300.0
"""For a part of the crowd to be made, on a machine that does much else."""

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16) + b"\x00" + bytes(31)
HELLO = msgpack.packb({"op": "hello"})


def ready(identity: bytes | None = None) -> bytes:
    """The handshake's one command."""
    body = b"\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
    if identity is not None:
        body += b"\x08Identity" + struct.pack(">I", len(identity)) + identity
    if len(body) < 256:
        return b"\x04" + bytes([len(body)]) + body
    return b"\x06" + struct.pack(">Q", len(body)) + body


def frame(data: bytes, more: bool = False) -> bytes:
    if len(data) < 256:
        return bytes([more, len(data)]) + data
    return bytes([2 | more]) + struct.pack(">Q", len(data)) + data


# ---- what a bad peer sends ----------------------------------------------------------------------


def nothing(rng: random.Random) -> bytes:
    return b""


def garbage(rng: random.Random) -> bytes:
    return rng.randbytes(rng.randrange(1, 2_000))


def half_a_greeting(rng: random.Random) -> bytes:
    return GREETING[: rng.randrange(1, 64)]


def another_mechanism(rng: random.Random) -> bytes:
    name = rng.choice((b"EVIL", b"CURV", b"PLAI", b"\0\0\0\0"))
    return GREETING.replace(b"NULL", name) + ready()


def rubbish_for_ready(rng: random.Random) -> bytes:
    return GREETING + rng.randbytes(rng.randrange(1, 400))


def spoilt(rng: random.Random) -> bytes:
    """A good conversation with some of its bytes changed."""
    said = bytearray(GREETING + ready() + frame(HELLO))
    for _ in range(rng.randrange(1, 6)):
        said[rng.randrange(len(said))] = rng.randrange(256)
    return bytes(said)


def oversized(rng: random.Random) -> bytes:
    size = rng.choice((3 << 20, 3 << 30, 1 << 62, (1 << 64) - 1))
    return GREETING + ready() + b"\x02" + struct.pack(">Q", size) + rng.randbytes(100)


def unfinished(rng: random.Random) -> bytes:
    """A frame that is announced and does not come."""
    said = b"\x02" + struct.pack(">Q", 1 << 20) + rng.randbytes(rng.randrange(5_000))
    return GREETING + ready() + said


def many_frames(rng: random.Random) -> bytes:
    frames = MANY_FRAMES if rng.random() < 0.005 else rng.randrange(9, 500)
    return GREETING + ready() + frame(b"x", more=True) * frames + frame(HELLO)


def empty_frames(rng: random.Random) -> bytes:
    return GREETING + ready() + frame(b"", more=True) * rng.randrange(1, 40) + frame(HELLO)


def somebody_else(rng: random.Random) -> bytes:
    """A routing id that others have or that is none."""
    identity = rng.choice((b"", b"\0", b"same", b"neighbour", bytes(255), rng.randbytes(5)))
    return GREETING + ready(identity) + frame(HELLO)


def deaf(rng: random.Random) -> bytes:
    """It asks and asks, and never reads."""
    return GREETING + ready() + frame(HELLO) * rng.randrange(50, 300)


def deaf_poller(rng: random.Random) -> bytes:
    poll = {"op": "poll", "group": "deaf", "topics": ["neighbour"], "messages": 100}
    asked = msgpack.packb(poll | {"bytes": 1 << 20, "wait_ms": 0})
    return GREETING + ready() + frame(asked) * rng.randrange(5, 40)


KINDS: tuple[Callable[[random.Random], bytes], ...] = (
    nothing, garbage, half_a_greeting, another_mechanism, rubbish_for_ready, spoilt, oversized,
    unfinished, many_frames, empty_frames, somebody_else, deaf, deaf_poller,
)  # fmt: skip


class Crowd:
    """Bad connections, one after the other; the last few stay open, some of them dripping."""

    def __init__(self, port: int, rng: random.Random) -> None:
        self.made: Counter[str] = Counter()
        self._address = ("127.0.0.1", port)
        self._rng = rng
        self._open: deque[tuple[socket.socket, bytes]] = deque()

    def grow(self, connections: int) -> None:
        for _ in range(connections):
            self._connect(self._rng.choice(KINDS))
            self._drip()
            while len(self._open) > OPEN:
                self._open.popleft()[0].close()

    def _connect(self, kind: Callable[[random.Random], bytes]) -> None:
        said = kind(self._rng)
        made = socket.create_connection(self._address, TIMEOUT_S)
        self.made[kind.__name__] += 1
        dripping = kind is not many_frames and self._rng.random() < 0.2
        with contextlib.suppress(OSError):  # it may be thrown out in mid-sentence
            made.sendall(said[:10] if dripping else said)
        self._open.append((made, said[10:] if dripping else b""))

    def _drip(self) -> None:
        """One byte from one of those that are slow."""
        at = self._rng.randrange(len(self._open))
        made, left = self._open[at]
        if left:
            with contextlib.suppress(OSError):
                made.sendall(left[:1])
            self._open[at] = (made, left[1:])

    def leave(self) -> None:
        while self._open:
            self._open.popleft()[0].close()


class CrowdProcess:
    """A crowd that shares no interpreter with whoever watches."""

    def __init__(self, port: int, seed: int) -> None:
        spawn = get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_live, args=(port, seed, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self.made: Counter[str] = Counter()

    def __enter__(self) -> CrowdProcess:
        return self

    def __exit__(self, *_: object) -> None:
        """However it ended: nobody stays behind."""
        self._process.kill()
        self._process.join()

    def grow(self, connections: int) -> None:
        """Returns when they are made. Raises what went wrong with the crowd."""
        self._pipe.send(connections)
        self._hear()

    def leave(self) -> None:
        """All of them close their connections."""
        self._pipe.send(None)
        self._hear()

    def _hear(self) -> None:
        if not self._pipe.poll(PATIENCE_S):
            raise TimeoutError(f"the crowd said nothing for {PATIENCE_S:.0f} s")
        said = self._pipe.recv()
        if isinstance(said, BaseException):
            raise said
        self.made = said


def _live(port: int, seed: int, orders: Connection) -> None:
    crowd = Crowd(port, random.Random(seed))
    try:
        while (connections := orders.recv()) is not None:
            crowd.grow(connections)
            orders.send(crowd.made)
        crowd.leave()
        orders.send(crowd.made)
    except Exception as error:
        orders.send(error)
