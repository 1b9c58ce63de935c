"""Answers that make no sense: each ends as Damaged or unheard, and the client goes on."""

from __future__ import annotations

import msgpack
import pytest

from layby import _block
from layby._hello import as_limits
from layby._lease import Lease, Piece
from layby._pusher import Pusher
from layby._reading import Reading
from layby._requests import Requests
from layby._sequence import Limits, Lone
from layby._wire import Answer
from layby.answer import Response
from layby.errors import Damaged, refused
from tests.unit.client.consuming import Consuming, block
from tests.unit.client.world import World

GOOD = {"lease": b"L", "topic": "app", "lane": "live", "grant": 1, "lease_ms": 1_000,
        "ranges": [1, 2], "at_us": 1}  # fmt: skip

BAD = {
    "topic": (None, 7, b"app"),
    "lane": (None, []),
    "lease": (None, b"", b"x" * 17, ["unhashable"]),
    "ranges": (None, [], [1], [1.0, 2.0], [2, 1], [0, 1], "ab", {"a": 1}, [1, 1], [5, 4, 1, 3]),
    "lease_ms": (None, 0, -1, 1.5, float("inf"), "30"),
    "at_us": (float("inf"), float("nan"), -1, 1 << 60),
    "grant": ("first", -1),
    "attempts": ([1], [1, 2, 3], ["a", "b"], {"a": 1}),
    "deliveries": ([None, None], 7),
}


@pytest.mark.parametrize(("key", "value"), [(k, v) for k, values in BAD.items() for v in values])
def test_a_lease_that_makes_no_sense(key: str, value: object):
    with pytest.raises(Damaged):
        Lease({**GOOD, key: value}, block(b"a", b"b"), 1, 0.0)


@pytest.mark.parametrize(
    "history", [7, [[]], [[{}], []], [[{"at_us": "x"}], []], [7, 7], {"a": 1}, [[["at_us"]], []]]
)
def test_a_history_that_makes_no_sense(history: object):
    lease = Lease({**GOOD, "history": history}, block(b"a", b"b"), 1, 0.0)
    with pytest.raises(Damaged):
        lease.history(0)


@pytest.mark.parametrize(
    "headers", [b"\xc1", b"\x01", b"\x81\x01\x02", b"\x81\xa1a\x01", b"\x81\xa1a\xc4\x01b"]
)
def test_headers_that_are_no_texts_are_none(headers: bytes):
    """The broker looks at no message, so a producer's mistake reaches every consumer."""
    packed = _block.build([b"x"], headers=[headers])
    assert Piece("app", [1, 1], 1, packed).block.headers(0) == {}


def test_more_refused_than_was_sent_ends_at_once():
    it = Consuming()
    it.publish(b"a")
    it.take().ack()
    it.world.deaf = True
    it.world.pass_time(0.01)
    [settle] = it.settles()
    entry = {"lease": settle["settle"][0]["lease"], "ranges": [1, (1 << 53) - 1], "code": "busy"}
    it.world.deaf = False
    it.world.wire.append(it.broker._answer(settle, refused=[entry, entry]))
    it.world.run()
    assert it.lost == []
    assert not it.session.settling.empty, "it is sent again"
    it.broker.lost = {1: "lease_lost"}
    it.world.pass_time(6)
    assert [lost.place for lost in it.lost] == [0]


def test_a_consumer_polls_on_after_an_answer_that_makes_no_sense():
    it = Consuming()
    it.broker.mute.add("poll")
    it.world.run()
    [poll] = it.polls()
    it.broker.mute.clear()
    it.world.wire.append(it.broker._answer(poll, n=1, leases=[], refused="nonsense"))
    it.world.pass_time(0.2)
    it.publish(b"a")
    assert it.take().data == b"a"


@pytest.mark.parametrize("first", [[float("inf")], ["x"], [None], [1, 2], [], 7, None])
def test_a_confirm_that_makes_no_sense_confirms_nothing(first: object):
    world = World()
    pusher, ended = Pusher(world.link, Limits()), []
    world.deaf = True
    pusher.add("app", Lone({"data": b"x"}), 1, 1, world.now + 30, ended.append)
    world.run()
    [push] = world.broker.ops("push")
    confirm = {"op": "confirm", "ok": True, "boot": 1, "producer": push["producer"]}
    confirm |= {"from": 1, "upto": 1, "first": first}
    world.wire.append([msgpack.packb(confirm)])
    world.hear()
    assert ended == []
    world.deaf = False
    world.pass_time(6)
    assert ended == [1]


@pytest.mark.parametrize("answer", [{}, {"next": []}, {"next": 1, "blocks": [7]}, {"next": "x"}])
def test_a_reader_ends_with_an_answer_that_makes_no_sense(answer: dict):
    world = World()
    reading = Reading(Requests(world.link), ("app",), 1, None, lambda: None)
    reading.ask(world.now)
    world.deaf = True
    world.run()
    [read] = world.broker.ops("read")
    world.wire.append(world.broker._answer(read, **answer))
    world.hear()
    assert isinstance(reading.failure, Damaged)


def test_a_response_with_a_block_that_is_none():
    with pytest.raises(Damaged):
        Response(Answer({"ok": True}, [b"LBK1"]))
    with pytest.raises(Damaged):
        Response(Answer({"ok": True, "boot": "x"}, []))


@pytest.mark.parametrize("limits", [7, [], None, {"max_message": "big"}, {"credit_bytes": 0}])
def test_limits_that_are_none(limits: object):
    with pytest.raises(Damaged):
        as_limits(limits)


@pytest.mark.parametrize(
    ("said", "taken"), [(50, 50), (-1, 0), (True, 0), ("9", 0), (1 << 40, 60_000)]
)
def test_nobody_waits_for_ever_to_try_again(said: object, taken: int):
    assert refused({"code": "busy", "retry_ms": said}).retry_ms == taken
