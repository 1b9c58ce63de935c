"""A DEALER as the protocol wants it, and its monitor. Owns the socket options and the frames of one
message; must never know what is in them, threads or event loops.

IMMEDIATE: nothing is queued for a broker that is not there. LINGER 0: closing never waits. The
monitor tells when a connection comes and goes, so that a restart of the broker costs a reconnect
and not a time-out.
"""

from __future__ import annotations

from itertools import count
from typing import Any

import zmq

from layby._wire import Frames
from layby.errors import Unreachable

RECONNECT_MS = 50
RECONNECT_MAX_MS = 1_000
DEAD_MS = 15_000
"""A host that takes nothing for so long is gone: a new connection is made. (The protocol has no
heartbeats on the wire; this is the kernel's.)"""

NOW = int(zmq.NOBLOCK)
NOW_AND_MORE = int(zmq.NOBLOCK | zmq.SNDMORE)
EVENTS, POLLIN = int(zmq.EVENTS), int(zmq.POLLIN)
"""Plain numbers: combining pyzmq's enums costs more than the calls they go into."""

_monitors = count(1)

Context = zmq.Context[Any]
Socket = zmq.Socket[Any]


class Dealer:
    def __init__(self, context: Context, endpoint: str) -> None:
        self.socket: Socket = context.socket(zmq.DEALER)
        self.monitor: Socket = context.socket(zmq.PAIR)
        self.socket.setsockopt(zmq.IMMEDIATE, 1)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.monitor.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        self.socket.setsockopt(zmq.RECONNECT_IVL_MAX, RECONNECT_MAX_MS)
        self.socket.setsockopt(zmq.TCP_MAXRT, DEAD_MS)
        self.socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
        self.socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, DEAD_MS // 1_000)
        self.socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, DEAD_MS // 3_000)
        self.socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, 3)
        where = f"inproc://layby-monitor-{next(_monitors)}"
        events = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
        self.socket.monitor(where, events)
        self.monitor.connect(where)
        try:
            self.socket.connect(endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise Unreachable(f"{endpoint} is not an endpoint: {error}") from error

    def close(self) -> None:
        self.socket.monitor(None, 0)
        self.socket.close(0)
        self.monitor.close(0)

    def receive(self) -> Frames | None:
        """The next message; the map as bytes, blocks as views of what libzmq received."""
        try:
            frame = self.socket.recv(NOW, copy=False)
        except zmq.Again:
            return None
        frames: Frames = [frame.bytes]
        while frame.more:
            frame = self.socket.recv(NOW, copy=False)
            frames.append(frame.buffer)
        return frames

    def send(self, frames: Frames) -> bool:
        """False when there is no connection or its queue is full."""
        try:
            for frame in frames[:-1]:
                self.socket.send(frame, NOW_AND_MORE)
            self.socket.send(frames[-1], NOW)
        except zmq.Again:
            return False
        return True

    def readable(self) -> bool:
        return bool(int(self.socket.getsockopt(EVENTS)) & POLLIN)

    def descriptors(self) -> tuple[int, int]:
        """Of the socket and its monitor, for an event loop."""
        return int(self.socket.getsockopt(zmq.FD)), int(self.monitor.getsockopt(zmq.FD))

    def changes(self) -> list[bool]:
        """Connections that came (True) and went (False) since the last call."""
        found: list[bool] = []
        while True:
            try:
                event, _ = self.monitor.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return found
            number = int.from_bytes(event[:2], "little")
            found.append(number == zmq.EVENT_HANDSHAKE_SUCCEEDED)
