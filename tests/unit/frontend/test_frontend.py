"""The front-end over a real socket: what reaches the scheduler, what is answered at once."""

import select
import threading
from queue import SimpleQueue

import msgpack
import pytest
import zmq

from laybyd.core.effects import Deliver, Grant, Reply
from laybyd.core.events import Poll, Push, Undelivered
from laybyd.core.types import LIVE, Caller, Piece
from laybyd.errors import AddressInUse
from laybyd.frontend.frontend import FrontEnd, Setup
from laybyd.frontend.pending import REQUESTS_BYTES
from laybyd.scheduler.appends import held_bytes
from laybyd.scheduler.delivery import Outgoing
from laybyd.scheduler.scheduler import Drained, Events
from laybyd.wire.encode import Greeting

PATIENCE_S = 10


class Rig:
    def __init__(self, pending_bytes: int = 1 << 20) -> None:
        self.items, self.failures = SimpleQueue(), SimpleQueue()
        greeting = Greeting("layby test", b"store", 1, 7)
        setup = Setup(["tcp://127.0.0.1:0"], pending_bytes, 70, greeting)
        self.front = FrontEnd(setup, self.items.put, self.failures.put)
        self.front.start()
        self.context = zmq.Context()
        self.peer = self.context.socket(zmq.DEALER)
        self.peer.linger = 0
        self.peer.rcvtimeo = PATIENCE_S * 1000
        self.peer.connect(self.front.endpoints[0])

    def close(self) -> None:
        self.peer.close()
        self.context.term()
        self.front.stop()
        assert self.failures.empty(), self.failures.get()

    def hold(self) -> threading.Event:
        """The front-end's thread is busy elsewhere until the event is set."""
        entered, go_on = threading.Event(), threading.Event()
        self.front.ping(lambda: (entered.set(), go_on.wait(PATIENCE_S)))
        assert entered.wait(PATIENCE_S)
        return go_on

    def say(self, *frames: bytes, **fields) -> None:
        self.peer.send_multipart([*frames] if frames else [msgpack.packb(fields)])

    def answer(self) -> dict:
        return msgpack.unpackb(self.peer.recv_multipart()[0])

    def events(self, wanted: int) -> list:
        events: list = []
        while len(events) < wanted:
            item = self.items.get(timeout=PATIENCE_S)
            assert isinstance(item, Events), item
            events += item.events
        return events


@pytest.fixture
def rig():
    rig = Rig()
    yield rig
    rig.close()


def test_a_thread_that_fails_before_it_serves_keeps_nobody_waiting():
    failures = SimpleQueue()
    setup = Setup(["tcp://127.0.0.1:0"], 1, 70, Greeting("layby test", b"store", 1, 7))
    front = FrontEnd(setup, SimpleQueue().put, failures.put)

    class Loop:
        def add_reader(self, *_: object) -> None:
            raise MemoryError

        def remove_reader(self, *_: object) -> None: ...
        def close(self) -> None: ...

    front._loop.close()
    front._loop = Loop()
    with pytest.raises(MemoryError):
        front.start()
    assert isinstance(failures.get(timeout=PATIENCE_S), MemoryError)


def test_requests_reach_the_scheduler_in_order(rig):
    for n in range(3):
        rig.say(op="push", topic="app", data=b"%d" % n)
    rig.say(op="poll", group="g", topics=["app"], messages=1, bytes=1, wait_ms=0)
    events = rig.events(4)
    assert [event.body.data for event in events[:3]] == [b"0", b"1", b"2"]
    assert isinstance(events[3], Poll)


def test_an_answer_finds_its_way_back(rig):
    rig.say(op="push", topic="app", data=b"1", id=5)
    (push,) = rig.events(1)
    rig.front.send([Outgoing(Reply(push.caller, {"first": 1, "count": 1}))])
    assert rig.answer() == {"ok": True, "boot": 7, "id": 5, "first": 1, "count": 1}


def test_a_request_that_came_before_an_answer_left_is_not_overlooked(rig):
    rig.say(op="push", topic="app", data=b"1")
    (push,) = rig.events(1)
    for _ in range(20):
        go_on = rig.hold()
        rig.say(op="push", topic="app", data=b"2")
        assert select.select([rig.front._fd], [], [], PATIENCE_S)[0]
        rig.front.send([Outgoing(Reply(push.caller, {}))])
        assert rig.answer()["ok"]
        go_on.set()
        rig.events(1)


def test_a_request_is_handed_on_with_the_socket_free(rig):
    """So that a push which is answered on this very thread is answered at once."""
    free = SimpleQueue()
    rig.front._put = lambda item: free.put(not rig.front._using.locked())
    rig.say(op="push", topic="app", data=b"1")
    assert free.get(timeout=PATIENCE_S)
    rig.front.ask_drain()
    assert free.get(timeout=PATIENCE_S)


def test_what_is_decided_leaves_before_a_lone_push_may_wait_for_the_disk(rig):
    rig.say(op="push", topic="app", data=b"1", id=1)
    (first,) = rig.events(1)
    answered = threading.Event()

    def put(item: Events) -> None:
        assert answered.wait(PATIENCE_S)
        rig.items.put(item)

    go_on = rig.hold()
    rig.front._put = put
    rig.front._outbox.append(Outgoing(Reply(first.caller, {})))
    rig.say(op="push", topic="app", data=b"2", id=2)
    assert select.select([rig.front._fd], [], [], PATIENCE_S)[0]
    go_on.set()
    assert rig.answer()["id"] == 1
    answered.set()
    rig.events(1)


def test_a_request_that_cannot_be_handed_on_ends_the_daemon():
    rig = Rig()
    error = MemoryError()

    def put(item: object) -> None:
        raise error

    rig.front._put = put
    rig.say(op="push", topic="app", data=b"1")
    assert rig.failures.get(timeout=PATIENCE_S) is error
    rig.close()


def test_answers_keep_their_order_whoever_sends_them(rig):
    rig.say(op="push", topic="app", data=b"1")
    (push,) = rig.events(1)
    for n in range(0, 3_000, 3):
        one, two, three = (Outgoing(Reply(push.caller, {"n": n + i})) for i in range(3))
        rig.front.send([one, two])
        rig.front.send([three])
    assert [rig.answer()["n"] for _ in range(3_000)] == list(range(3_000))


class Failing:
    """A socket that has no memory for the last frame of the first message it is to send."""

    def __init__(self, router: zmq.Socket) -> None:
        self.router, self.left = router, []

    def __getattr__(self, name: str) -> object:
        return getattr(self.router, name)

    def send(self, frame: bytes, flags: int, copy: bool) -> None:
        self.left.append(frame)
        if not flags & zmq.SNDMORE:
            raise MemoryError
        self.router.send(frame, flags, copy=copy)


@pytest.mark.parametrize("by_its_own_thread", [False, True])
def test_what_follows_half_an_answer_is_not_taken_for_its_rest(rig, by_its_own_thread):
    rig.say(op="push", topic="app", data=b"1")
    (push,) = rig.events(1)
    answer = Outgoing(Reply(push.caller, {}))
    go_on = rig.hold()
    rig.front._router = router = Failing(rig.front._router)
    if by_its_own_thread:
        rig.front.send([answer, answer])
    else:
        with pytest.raises(MemoryError):
            rig.front.send([answer])
    rig.say(op="hello")
    go_on.set()
    rig.front.ask_drain()
    while not isinstance(rig.items.get(timeout=PATIENCE_S), Drained):
        pass
    assert len(router.left) == 2, "the peer would take the next answer for a block of this one"
    if by_its_own_thread:
        assert isinstance(rig.failures.get(timeout=PATIENCE_S), MemoryError)


def test_blocks_follow_the_map_whatever_their_size(rig):
    rig.say(op="poll", group="g", topics=["app"], messages=1, bytes=1, wait_ms=0)
    (poll,) = rig.events(1)
    grants = tuple(Grant(b"%d" % n, "app", LIVE, n, 1000, False, (Piece(n, n, n),)) for n in (1, 2))
    deliver = Deliver(poll.caller, "g", 1, grants)
    rig.front.send([Outgoing(deliver, (b"small", b"x" * 100_000))])
    _, small, large = rig.peer.recv_multipart()
    assert (small, len(large)) == (b"small", 100_000)


def test_hello_is_answered_here(rig):
    rig.say(op="hello")
    answer = rig.answer()
    assert (answer["server"], answer["store"], answer["boot"]) == ("layby test", b"store", 7)


def test_junk_is_refused_and_the_next_request_is_heard(rig):
    rig.say(b"\xc1")
    assert rig.answer()["code"] == "bad_request"
    rig.say(op="hello")
    assert rig.answer()["ok"]


def test_a_message_of_very_many_frames_is_refused_once_and_skipped(rig):
    rig.say(*[b"x"] * 5_000)
    assert rig.answer()["code"] == "bad_request"
    rig.say(op="hello")
    assert rig.answer()["ok"]
    assert rig.front.counters["bad_request"] == 1


def test_an_answer_to_nobody_comes_back_as_undelivered(rig):
    gone = Caller(b"nobody")
    grant = Grant(b"lease", "app", LIVE, 1, 1000, False, (Piece(1, 1, 1),))
    rig.front.send([Outgoing(Deliver(gone, "g", 1, (grant,)), (b"block",))])
    assert rig.events(1) == [Undelivered(gone, "g", (b"lease",))]


def test_a_thousand_requests_at_once_get_a_thousand_answers(rig):
    for n in range(1_000):
        rig.say(op="hello", id=n)
    assert [rig.answer()["id"] for _ in range(1_000)] == list(range(1_000))


def test_a_request_is_passed_on_before_everything_else_is_decoded(rig, monkeypatch):
    """Somebody's thousand ranges take milliseconds each to decode."""
    monkeypatch.setattr("laybyd.frontend.frontend.DRAIN_US", 0)
    go_on = rig.hold()
    for _ in range(3):
        rig.say(op="push", topic="app", data=b"x")
    assert select.select([rig.front._fd], [], [], PATIENCE_S)[0]
    go_on.set()
    assert [len(rig.items.get(timeout=PATIENCE_S).events) for _ in range(3)] == [1, 1, 1]


def test_asked_to_drain_it_says_when_the_socket_is_empty(rig):
    rig.front.ask_drain()
    assert rig.items.get(timeout=PATIENCE_S) == Drained()


def test_above_the_pending_bytes_a_push_loses_its_body_and_settles_do_not():
    rig = Rig(pending_bytes=2_000)
    try:
        for _ in range(2):
            rig.say(op="push", topic="app", data=b"x" * 900)
        first, second = rig.events(2)
        assert (first.body is None, second.body is None) == (False, True)
        rig.front.pending.push_done(held_bytes(first) + held_bytes(second))
        rig.say(op="push", topic="app", data=b"x" * 900)
        (third,) = rig.events(1)
        assert isinstance(third, Push)
        assert third.body is not None
    finally:
        rig.close()


def test_a_connection_with_too_many_requests_waiting_is_refused_and_others_are_not(rig):
    """Nobody takes them up here, as when the core has no time."""
    topics = ["x" * 200] * 64
    poll = {"op": "poll", "group": "g", "topics": topics, "messages": 1, "bytes": 1, "wait_ms": 0}
    most = REQUESTS_BYTES // len(msgpack.packb(poll))
    for n in range(most):
        rig.say(**poll, id=n)
    refusal = rig.answer()
    assert (refusal["code"], refusal["retryable"], refusal["retry_ms"]) == ("busy", True, 70)
    taken = rig.events(refusal["id"])
    assert [event.caller.id for event in taken] == list(range(refusal["id"]))
    other = rig.context.socket(zmq.DEALER)
    other.linger = 0
    other.connect(rig.front.endpoints[0])
    other.send(msgpack.packb(poll | {"id": b"other"}))
    assert [event.caller.id for event in rig.events(1)] == [b"other"]
    other.close()
    for event in taken:
        rig.front.pending.request_done(event.caller.peer)
    rig.say(**poll, id=b"again")
    assert [event.caller.id for event in rig.events(1)] == [b"again"]


def test_a_taken_address_is_said_by_name(rig):
    setup = Setup([rig.front.endpoints[0]], 1000, 70, Greeting("layby test", b"store", 1, 7))
    second = FrontEnd(setup, rig.items.put, rig.failures.put)
    with pytest.raises(AddressInUse, match=r"127\.0\.0\.1"):
        second.start()
