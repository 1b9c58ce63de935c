from __future__ import annotations

import pytest

from layby._reading import Reading
from layby._requests import Requests
from layby.errors import BadName
from tests.unit.client.consuming import block
from tests.unit.client.world import World


class Looking:
    def __init__(self, start: object = "earliest", until: int | None = None) -> None:
        self.world = World()
        self.requests = Requests(self.world.link)
        self.reading = Reading(self.requests, ("app",), start, until, lambda: None)

    def all(self) -> list[bytes]:
        found = []
        while True:
            self.reading.ask(self.world.now)
            self.world.run()
            record = self.reading.take()
            if record is None:
                return found
            found.append(record.data)


def test_messages_in_order_over_several_answers():
    it = Looking()
    it.world.publish("app", block(b"a", b"b"))
    it.world.publish("other", block(b"c"))
    it.world.publish("app", block(b"d"))
    assert it.all() == [b"a", b"b", b"c", b"d"]
    assert [request["from"] for request in it.world.broker.ops("read")] == ["earliest", 3, 4, 5]


def test_until_ends_it():
    it = Looking(start=1, until=3)
    it.world.publish("app", block(b"a", b"b", b"c"))
    assert it.all() == [b"a", b"b"]
    assert it.reading.ended


def test_records_know_where_and_when():
    it = Looking()
    it.world.publish("app", block(b"a"))
    it.reading.ask(it.world.now)
    it.world.run()
    record = it.reading.take()
    assert (record.topic, record.position, record.timestamp) == ("app", 1, 5.0)


def test_no_answer_in_time_asks_again_and_a_refusal_ends_it():
    it = Looking()
    it.world.broker.mute.add("read")
    it.reading.ask(it.world.now)
    it.world.pass_time(40)
    it.world.broker.mute.clear()
    it.world.publish("app", block(b"a"))
    assert it.all() == [b"a"]
    it.reading.stop()
    it = Looking()
    it.world.broker.refuse("read", "bad_name", retryable=False)
    it.all()
    assert isinstance(it.reading.failure, BadName)


@pytest.mark.parametrize("start", ["latest", {"time_us": 1 << 52}])
def test_a_lost_connection_skips_nothing(start):
    it = Looking(start=start)
    it.world.publish("app", block(b"before"))
    assert it.all() == []
    it.world.link.disconnected()
    it.world.publish("app", block(b"in between"))
    it.world.reconnect()
    it.world.publish("app", block(b"after"))
    assert it.all() == [b"in between", b"after"]
    asked = [(read["from"], read["wait_ms"] > 0) for read in it.world.broker.ops("read")]
    assert asked[:2] == [(start, False), (2, True)]
    assert {place for place, _ in asked[1:]} <= {2, 3, 4}


def test_stopping_drops_what_came():
    it = Looking()
    it.world.publish("app", block(b"a", b"b"))
    it.reading.ask(it.world.now)
    it.world.run()
    it.reading.stop()
    assert it.reading.take() is None
    assert it.reading.ended
