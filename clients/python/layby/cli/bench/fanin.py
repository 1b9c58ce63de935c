"""Many producers of single messages: bare sockets, one push in flight each.

Owns raw sockets and raw maps, as a client in any language would write them: nothing of the client
library's is measured here. Must never know other measurements.
"""

from __future__ import annotations

import select
from contextlib import ExitStack
from typing import Any

import msgpack
import zmq

from layby.cli.bench.figures import Measured
from layby.cli.bench.roles import TIMEOUT, Plan, clock
from layby.errors import TimedOut, refused


class Lone:
    """One producer: sends, waits for the answer, sends again."""

    def __init__(self, context: zmq.Context[Any], url: str) -> None:
        self.socket = context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.connect(url)
        self._sent_at = 0.0

    def send(self, frame: bytes) -> None:
        self._sent_at = clock()
        self.socket.send(frame)

    def answered(self) -> float | None:
        """How long the push took, or None while there is no answer."""
        try:
            answer = msgpack.unpackb(self.socket.recv(zmq.NOBLOCK))
        except zmq.Again:
            return None
        if not answer["ok"]:
            raise refused(answer)
        return clock() - self._sent_at


def fan_in(plan: Plan) -> Measured:
    """Every producer begins at once; the end is when all have their last answer."""
    frame = msgpack.packb({"op": "push", "topic": plan.topic, "data": bytes(plan.size)})
    with ExitStack() as stack:
        context: zmq.Context[Any] = stack.enter_context(zmq.Context())
        producers = [Lone(context, plan.url) for _ in range(plan.clients)]
        for producer in producers:
            stack.callback(producer.socket.close)
        poll = stack.enter_context(select.epoll())
        by_fd = {producer.socket.fileno(): producer for producer in producers}
        for fd in by_fd:
            poll.register(fd, select.EPOLLIN)
        return _drive(plan, frame, poll, by_fd)


def _drive(plan: Plan, frame: bytes, poll: select.epoll, by_fd: dict[int, Lone]) -> Measured:
    times: list[float] = []
    begun = clock()
    until = begun + plan.seconds
    under_way = 0
    for producer in by_fd.values():
        producer.send(frame)
        under_way += 1
    ready = list(by_fd)  # a descriptor tells of what comes only once its socket was found empty
    while under_way:
        more = _more(plan, len(times) + under_way, until)
        for fd in ready:
            under_way -= _serve(by_fd[fd], frame if more else None, times)
        ready = [fd for fd, _ in poll.poll(TIMEOUT)] if under_way else []
        if under_way and not ready:
            raise TimedOut(f"no answer within {TIMEOUT:g} s")
    return Measured(len(times), clock() - begun, times)


def _more(plan: Plan, begun: int, until: float) -> bool:
    return clock() < until if plan.messages is None else begun < plan.messages


def _serve(producer: Lone, frame: bytes | None, times: list[float]) -> int:
    """Take what is there and go on; asks until there is nothing, as the descriptor tells of
    changes only. Returns how many pushes ended for good."""
    while (took := producer.answered()) is not None:
        times.append(took)
        if frame is None:
            return 1
        producer.send(frame)
    return 0
