"""Mutated answers against the Python client: a broker that lies, and a user who looks at it all.

A world is one seed: a link with a consumer, a producer, a reader and single requests on it, a fake
broker, and VECTORS of its answers mutated on the way. Whatever comes, nothing but the library's
own errors reaches the user, and once the broker is honest again everything goes on. Owns the
course of a world. Must never know processes or sockets.
"""

from __future__ import annotations

import logging
import random
import time
from functools import partial
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import msgpack

from layby._hello import as_limits
from layby._pusher import Pusher
from layby._reading import Reading
from layby._requests import Requests
from layby._sequence import Limits, Lone
from layby._wire import Answer
from layby.answer import Response
from layby.errors import LaybyError
from layby.message import Message
from tests.fuzz.corpus import Message as Frames
from tests.fuzz.corpus import by_size, vectors
from tests.fuzz.judge import Wrong
from tests.fuzz.mutate import Mutator, donors
from tests.fuzz.runs import Played, failure
from tests.unit.client.consuming import Consuming
from tests.unit.client.world import World

if TYPE_CHECKING:
    from layby.message import Record

VECTORS = 500
MUTATED = 0.4
TWICE = 0.3
"""Of the mutated answers, the true one comes too."""

HEARD_NS = 100_000_000
"""No answer takes longer; the least of several tries counts."""
AGAIN = 3

PATIENCE_S = 300.0
QUIET = 60

_SMALL, _ = by_size([*vectors("answers"), *vectors("blocks")])
_DONORS = donors(_SMALL)
_OPS = ("status", "hello")


class _Complaints(logging.Handler):
    """What the library says of callbacks that raised: those are bugs of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.raised: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            self.raised.append(record.exc_info[1])


class Lying(World):
    """The wire to a broker whose answers are changed on the way."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self.lies = True
        self.mutated = self.slowest_ns = 0
        self.last: Frames = []
        self._rng = rng
        self._mutator = Mutator(rng, _DONORS)

    def hear(self) -> None:
        while self.wire:
            answer = self.wire.popleft()
            if self.lies and self._rng.random() < MUTATED:
                self.lie(answer)
                if self._rng.random() < TWICE:
                    continue
            self._receive(answer)

    def lie(self, answer: Frames) -> None:
        self.mutated += 1
        self._receive(self._mutator.changed(answer))

    def _receive(self, frames: Frames) -> None:
        self.last = frames
        began = time.thread_time_ns()
        self.link.receive(list(frames), self.now)
        self.slowest_ns = max(self.slowest_ns, time.thread_time_ns() - began)


class Liars(Consuming):
    """A user of everything at once."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.lying = Lying(rng)
        super().__init__(world=self.lying, prefetch=20)
        self.asked = self.told = 0
        link = self.world.link
        self.requests = Requests(link)
        self.pusher = Pusher(link, Limits())
        self.reading = Reading(self.requests, ("app",), 1, None, lambda: None)

    def step(self) -> None:
        """One thing that a user may do next, or that happens to him."""
        choices = (
            *(self._publish, self._work, self._work, self._push, self._push),
            *(self._ask, self._read, self._wait, self._strange, self._strange),
        )
        choices[int(self._rng.random() * len(choices))]()
        self.world.run()

    def _publish(self) -> None:
        self.publish(*(b"%d" % number for number in range(1 + int(self._rng.random() * 6))))

    def _work(self) -> None:
        message = self.take()
        if message is None:
            self.idle()
            return
        look_at(message)
        settle = (message.ack, message.ack, message.fail, message.defer, message.release)
        settle[int(self._rng.random() * len(settle))]()
        if self._rng.random() < 0.1:
            message.extend(3.0)
        for lease, place, code in self.lost:
            assert isinstance(code, str)
            assert 0 <= place < lease.messages
        self.lost.clear()

    def _push(self) -> None:
        self.asked += 1
        body = Lone({"data": b"x"})
        self.pusher.add("app", body, 1, 1, self.world.now + 30, self._pushed)

    def _pushed(self, result: int | LaybyError) -> None:
        assert type(result) is int or isinstance(result, LaybyError), result
        self.told += 1

    def _ask(self) -> None:
        self.asked += 1
        op = _OPS[int(self._rng.random() * len(_OPS))]
        self.requests.ask(op, {}, self.world.now + 10, partial(self._answered, op))

    def _answered(self, op: str, result: Answer | LaybyError) -> None:
        """What `client.request` and `connect` do with it."""
        self.told += 1
        try:
            if isinstance(result, LaybyError):
                raise result
            response = Response(result)
            if op == "hello":
                as_limits(response.get("limits", {}))
        except LaybyError:
            return

    def _read(self) -> None:
        if self.reading.failure is not None:
            self.reading = Reading(self.requests, ("app",), 1, None, lambda: None)
        self.reading.ask(self.world.now)
        self.world.run()
        while (record := self.reading.take()) is not None:
            look_at(record)

    def _wait(self) -> None:
        self.world.pass_time(self._rng.random() ** 3 * 40)
        if self._rng.random() < 0.1:
            self.world.reconnect()

    def _strange(self) -> None:
        """An answer of another kind, to a question that is under way."""
        handlers = list(self.world.link._handlers)
        frames = list(_SMALL[int(self._rng.random() * len(_SMALL))])
        if handlers and self._rng.random() < 0.8:
            request = handlers[int(self._rng.random() * len(handlers))]
            frames = [_named(frames[0], request), *frames[1:]]
        self.lying.lie(frames)

    # ---- the broker is honest again

    def recover(self) -> None:
        """Whoever waits is told, and a new message arrives."""
        self.lying.lies = False
        self.world.reconnect()
        self.world.pass_time(PATIENCE_S)
        if self.told < self.asked:
            raise Wrong(f"{self.asked - self.told} of {self.asked} requests never ended")
        if self.session.failure is not None:
            return
        self.publish(b"marker")
        for _ in range(QUIET):
            while (message := self.take()) is not None:
                message.ack()
                if message.data == b"marker":
                    return
            self.idle()
            self.world.pass_time(1.0)
        raise Wrong("the consumer gets nothing any more")


def look_at(record: Record) -> None:
    """Everything a user can see of it."""
    try:
        seen = [record.data, record.text, record.topic, record.position, record.key]
        seen += [record.headers, record.timestamp, repr(record)]
        _plain(record)
        if isinstance(record, Message):
            seen += [record.attempts, record.deliveries, record.history, record.lane]
            seen += [record.grant, record.boot]
            assert type(record.alone) is bool
    except LaybyError:
        return


def _plain(record: Record) -> None:
    assert type(record.position) is int
    assert type(record.topic) is str
    assert all(type(entry) is str for pair in record.headers.items() for entry in pair)


def _named(packed: bytes, request: int) -> bytes:
    """The map as the answer to that request."""
    try:
        fields = msgpack.unpackb(packed)
        return msgpack.packb({**fields, "id": request})  # type: ignore[no-any-return]
    except (ValueError, TypeError):
        return packed


def played(seed: int) -> Played:
    """One world, and what is wrong with it."""
    complaints = _Complaints()
    log = logging.getLogger("layby")
    log.addHandler(complaints)
    log.propagate = False
    try:
        it, failures = _play(seed, complaints)
        again = [_play(seed, complaints)[0].slowest_ns for _ in range(AGAIN)] if _slow(it) else []
    finally:
        log.removeHandler(complaints)
        log.propagate = True
    if again and min(again) > HEARD_NS:
        text = f"an answer took {min(again) / 1e6:.0f} ms of processor time"
        failures.append(failure(seed, it.mutated, Wrong(text), it.last))
    most = {"slowest_us": it.slowest_ns // 1_000}
    return Played(seed, it.mutated, failures, {}, most)


def _slow(lying: Lying) -> bool:
    return lying.slowest_ns > HEARD_NS


def _play(seed: int, complaints: _Complaints) -> tuple[Lying, list[dict[str, Any]]]:
    failures: list[dict[str, Any]] = []
    with patch("os.urandom", random.Random(seed).randbytes):
        user = Liars(random.Random(seed))
    lying = user.lying
    try:
        while lying.mutated < VECTORS:
            user.step()
            if complaints.raised:
                raise complaints.raised.pop()
        user.recover()
    except Exception as error:
        failures.append(failure(seed, lying.mutated, error, lying.last))
    return lying, failures
