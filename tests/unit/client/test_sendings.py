"""A poll that is sent again: each sending has an id of its own, any may bring the answer."""

from __future__ import annotations

import msgpack
import pytest

from layby._session import SENDINGS_MAX
from tests.unit.client.consuming import Consuming, block

PATIENCE_S = 33.0


def sent_twice(**terms) -> Consuming:
    """Both sendings have arrived, the first one's answer has not."""
    it = Consuming(**terms)
    it.world.deaf = True
    it.world.pass_time(PATIENCE_S)
    it.world.deaf = False
    assert [poll["n"] for poll in it.polls()] == [1, 1]
    return it


def got(it: Consuming) -> list[tuple[int, int]]:
    return [(poll["n"], poll["got"]) for poll in it.polls()]


def test_what_the_second_sending_brings_is_taken():
    """A broker that stood still reads both at once and answers the parked one `replaced`."""
    it = sent_twice()
    first, second = it.polls()
    assert first["id"] != second["id"]
    it.world.wire.append(it.broker._empty(first, "replaced"))
    it.world.run()
    it.publish(b"a")
    assert it.take().data == b"a"


@pytest.mark.parametrize("why", ["nothing", "replaced", "restart grace", "max out"])
def test_a_first_sending_without_leases_is_no_answer_while_the_second_is_out(why):
    """Polling on with `got` would tell the broker that what the second brings was heard."""
    it = sent_twice()
    it.world.wire.append(it.broker._empty(it.polls()[0], why))
    it.world.pass_time(2)
    assert got(it) == [(1, 0), (1, 0)]
    it.publish(b"a")
    assert it.take().data == b"a"


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_what_both_bring_is_taken_once(order):
    it = Consuming(prefetch=10)
    it.world.run()
    it.world.deaf = True
    both = it.broker.publish("app", block(b"a"))
    it.world.pass_time(PATIENCE_S)
    both += it.broker.handle([msgpack.packb(it.polls()[-1])])
    it.world.deaf = False
    for index in order:
        it.world.wire.append(both[index])
        it.world.run()
        assert not {poll["id"] for poll in it.polls()[:2]} & set(it.world.link._handlers)
    assert it.queue.messages == 1
    assert it.take().data == b"a"


def test_replaced_is_no_answer_to_what_was_asked():
    """Another sending may be parked on a connection that is gone: its leases must go back."""
    it = sent_twice()
    it.world.wire.append(it.broker._empty(it.polls()[1], "replaced"))
    it.world.run()
    assert got(it) == [(1, 0), (1, 0), (2, 0)]


def test_a_deleted_group_is_believed_at_once():
    it = sent_twice()
    it.world.wire.append(it.broker._empty(it.polls()[0], "deleted"))
    it.world.run()
    assert it.session.failure is not None


def test_outcomes_that_rode_are_durable_with_any_sendings_answer():
    it = Consuming(prefetch=10)
    it.publish(b"a")
    it.take().ack()
    it.broker.granting = False
    it.world.deaf = True
    it.fetch_ahead()
    it.world.pass_time(PATIENCE_S)
    last = it.polls()[-1]
    assert last["settle"]
    it.world.deaf = False
    it.world.wire.append(it.broker._empty(last, "nothing"))
    it.world.hear()
    assert it.session.settling.empty


def test_no_more_sendings_are_listened_for_than_can_be_answered():
    it = Consuming()
    it.broker.mute.add("poll")
    for _ in range(3 * SENDINGS_MAX):
        it.world.reconnect()
    assert len(it.polls()) > 2 * SENDINGS_MAX
    assert len(it.world.link._handlers) <= SENDINGS_MAX + 1
