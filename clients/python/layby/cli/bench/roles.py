"""What a measured client does: push, push one by one, consume. Runs here or in another process.

Owns the loops and their clocks. Must never know what is made of the times. Each message carries
the time its chunk was sent in its first bytes, so that a reader in another process can tell how
long it took; the clock is the machine's monotonic one, which all processes share.
"""

from __future__ import annotations

import struct
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import layby
from layby.cli.bench.crew import NEVER, Flag
from layby.cli.bench.figures import Measured

if TYPE_CHECKING:
    from layby import Client, Consumer

STAMP = struct.Struct("<d")
END = -1.0
CHUNK = 5_000
TIMEOUT = 60.0
SILENCE = 30.0

clock = time.monotonic
Report = Callable[[Any], None]


class Plan(NamedTuple):
    """One run. `messages`, or else `seconds`, says when it is enough."""

    url: str
    topic: str
    group: str
    size: int
    messages: int | None
    seconds: float
    block: int | None = None
    batch: int = 5_000
    window: int | None = None
    clients: int = 1


def body(size: int, stamp: float) -> bytes:
    """A message that tells when it was sent."""
    return STAMP.pack(stamp).ljust(size, b"\0")


def sent_at(data: bytes) -> float:
    stamp: float = STAMP.unpack_from(data)[0]
    return stamp


def steps(plan: Plan, stop: Flag, step: int) -> Iterator[int]:
    """How many to do next, `step` at a time, until it is enough."""
    begun, done = clock(), 0
    while not stop.is_set():
        if plan.messages is None:
            if clock() - begun >= plan.seconds:
                return
            yield step
        elif done < plan.messages:
            yield min(step, plan.messages - done)
        else:
            return
        done += step


# ---- pushing


class Pushed(NamedTuple):
    messages: int
    begun: float
    ended: float
    times: list[float]


def push_many(client: Client, plan: Plan, stop: Flag = NEVER, end: bool = False) -> Pushed:
    """`send_many`, as fast as the window allows; times are from the call to the confirm."""
    times: list[float] = []
    window: deque[Future[int]] = deque(maxlen=plan.window)
    sent, begun = 0, clock()
    blocks: dict[str, Any] = {} if plan.block is None else {"block_bytes": plan.block}
    with client.producer(plan.topic, timeout=TIMEOUT, **blocks) as producer:
        for number in steps(plan, stop, CHUNK):
            now = clock()
            confirmed = partial(_confirmed, times, now)
            for future in producer.send_many([body(plan.size, now)] * number):
                future.add_done_callback(confirmed)
                if plan.window is not None:
                    _wait_for_room(window, future)
            sent += number
        if end:
            producer.send(body(plan.size, END))
    return Pushed(sent, begun, clock(), times)


def _confirmed(times: list[float], sent: float, future: Future[int]) -> None:
    times.append(clock() - sent)


def _wait_for_room(window: deque[Future[int]], future: Future[int]) -> None:
    if len(window) == window.maxlen and window[0].exception(TIMEOUT) is not None:
        window[0].result()
    if not window or window[-1] is not future:
        window.append(future)


def push_one_by_one(client: Client, plan: Plan) -> Pushed:
    """Each push waits for the confirm of the one before."""
    times: list[float] = []
    begun = now = clock()
    for _ in steps(plan, NEVER, 1):
        client.push(plan.topic, body(plan.size, now), timeout=TIMEOUT)
        done = clock()
        times.append(done - now)
        now = done
    return Pushed(len(times), begun, now, times)


# ---- consuming


def consumer_of(client: Client, plan: Plan) -> Consumer:
    return client.consume(plan.topic, group=plan.group, idle_timeout=SILENCE)


def consume_batches(client: Client, plan: Plan, wanted: int) -> Measured:
    """Whole batches, every message read and acked; times are from batch to batch."""
    times: list[float] = []
    taken, begun = 0, clock()
    now = begun
    with consumer_of(client, plan) as consumer:
        for batch in consumer.batches(max_messages=plan.batch):
            taken += len(batch.data)
            batch.ack()
            done = clock()
            times.append(done - now)
            now = done
            if taken >= wanted:
                break
        consumer.flush(TIMEOUT)
        ended = clock()
    return Measured(taken, ended - begun, times)


def consume_plain(client: Client, plan: Plan, wanted: int) -> Measured:
    """The loop everybody writes first: one message at a time."""
    taken, begun = 0, clock()
    with consumer_of(client, plan) as consumer:
        for message in consumer:
            with message:
                assert message.data
            taken += 1
            if taken >= wanted:
                break
        consumer.flush(TIMEOUT)
        ended = clock()
    return Measured(taken, ended - begun, [])


# ---- both at once, each in a process of its own


def producing(report: Report, stop: Flag, plan: Plan) -> None:
    with layby.connect(plan.url, timeout=TIMEOUT) as client:
        report("ready")
        report(push_many(client, plan, stop, end=True))


def consuming(report: Report, stop: Flag, plan: Plan) -> None:
    """Until the message that says it was the last; times are from its sending to its ack."""
    times: list[float] = []
    taken = 0
    with layby.connect(plan.url, timeout=TIMEOUT) as client, consumer_of(client, plan) as consumer:
        report("ready")
        for batch in consumer.batches(max_messages=plan.batch):
            bodies = batch.data
            batch.ack()
            taken += len(bodies)
            last = sent_at(bodies[-1])
            if last == END or stop.is_set():
                break
            times.append(clock() - last)
        consumer.flush(TIMEOUT)
        report((taken - 1, clock(), times))
