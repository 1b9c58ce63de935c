"""Polls: when they are sent, what they ask for, and what becomes of their answers."""

from __future__ import annotations

from layby.errors import SubscriptionDiffers, UnknownGroup
from tests.unit.client.consuming import Consuming, block, numbered


def test_an_idle_handler_polls_at_once():
    it = Consuming(name="me", start="latest", lease_s=2.5)
    it.world.run()
    [poll] = it.polls()
    assert {k: poll[k] for k in ("group", "topics", "name", "start", "lease_ms")} == {
        "group": "g", "topics": ["app"], "name": "me", "start": "latest", "lease_ms": 2_500,
    }  # fmt: skip
    assert (poll["n"], poll["got"], poll["idle"], poll["handlers"]) == (1, 0, 1, 1)
    assert poll["wait_ms"] <= 30_000
    assert len(poll["session"]) == 16


def test_before_anything_is_measured_it_asks_for_one_message():
    it = Consuming()
    it.publish(b"a", b"b", b"c")
    assert it.polls()[0]["messages"] == 1
    assert it.take().data == b"a"
    assert len(it.polls()) == 1, "nothing is fetched ahead before a time is known"


def test_messages_come_in_order_with_growing_credit():
    it = Consuming()
    it.publish(*(b"%d" % n for n in range(200)))
    seen = []
    while (message := it.take()) is not None:
        it.world.now += 0.001
        seen.append(message.data)
        message.ack()
    assert seen == [b"%d" % n for n in range(200)]
    assert 20 <= max(poll["messages"] for poll in it.polls()) <= 40
    assert max(max(ranges) for ranges in it.broker.outcomes("ack")) == 200


def test_a_slow_handler_asks_for_nothing_ahead():
    it = Consuming()
    it.publish(*(b"%d" % n for n in range(5)))
    for _ in range(5):
        message = it.take()
        before = len(it.polls())
        it.world.pass_time(0.05)
        assert len(it.polls()) == before
        message.ack()


def test_a_becoming_idle_replaces_a_parked_prefetch_poll():
    it = Consuming(prefetch=1)
    it.publish(b"a", b"b", b"c")
    for _ in range(3):
        it.take().ack()
        it.world.run()
    parked = it.polls()[-1]
    assert parked["idle"] == 0
    it.world.pass_time(0.1)
    it.idle()
    newer = it.polls()[-1]
    assert (newer["n"], newer["idle"]) == (parked["n"] + 1, 1)


def test_a_prefetch_poll_just_sent_is_given_time_for_its_answer():
    it = Consuming()
    it.broker.mute.add("poll")
    it.session.waiting = 0
    it.session.pace.add(1, 0.001, deferred=False, done=True)
    it.world.run()
    assert [poll["idle"] for poll in it.polls()] == [0]
    it.idle()
    assert len(it.polls()) == 1
    it.world.pass_time(0.006)
    assert [poll["idle"] for poll in it.polls()] == [0, 1]


def test_a_late_answer_to_a_replaced_poll_is_thrown_away():
    it = Consuming(handlers=2)
    it.broker.granting = False
    it.world.run()
    first = it.polls()[0]
    it.session.waiting = 2
    it.world.run()
    assert [poll["idle"] for poll in it.polls()] == [1, 2]
    lease = {"lease": b"L", "topic": "app", "lane": "live", "grant": 1, "lease_ms": 1000,
             "ranges": [1, 1], "at_us": 1}  # fmt: skip
    late = it.broker._answer(first, (block(b"x"),), n=1, leases=[lease], refused=[])
    it.world.wire.append(late)
    it.world.run()
    assert it.queue.messages == 0


def test_no_answer_within_wait_and_grace_polls_again_with_the_same_n():
    it = Consuming()
    it.broker.mute.add("poll")
    it.world.run()
    it.world.pass_time(33)
    assert [poll["n"] for poll in it.polls()] == [1, 1]


def test_a_new_connection_polls_again_with_the_same_n():
    it = Consuming()
    it.world.run()
    it.world.reconnect()
    assert [(poll["n"], poll["got"]) for poll in it.polls()] == [(1, 0), (1, 0)]
    it.publish(b"a")
    assert it.take().data == b"a"


def test_nothing_to_give_polls_on():
    it = Consuming()
    it.broker.mute.add("poll")
    it.world.run()
    it.world.wire.append(it.broker._empty(it.polls()[0], "nothing"))
    it.world.run()
    assert [(poll["n"], poll["got"]) for poll in it.polls()] == [(1, 0), (2, 1)]


def test_a_quiescing_broker_is_given_a_pause():
    it = Consuming()
    it.broker.mute.add("poll")
    it.world.run()
    it.world.wire.append(it.broker._empty(it.polls()[0], "quiescing"))
    it.world.run()
    it.world.pass_time(0.9)
    assert len(it.polls()) == 1
    it.world.pass_time(0.2)
    assert len(it.polls()) == 2


def test_a_retryable_refusal_polls_again_and_another_ends_it():
    it = Consuming()
    it.broker.refuse("poll", "busy", retryable=True, retry_ms=40)
    it.world.pass_time(0.03)
    assert len(it.polls()) == 1
    it.world.pass_time(0.03)
    assert len(it.polls()) == 2
    other = Consuming()
    other.broker.refuse("poll", "subscription_differs", retryable=False)
    other.world.run()
    assert isinstance(other.session.failure, SubscriptionDiffers)
    assert other.news == 1


def test_a_deleted_group_ends_it():
    it = Consuming()
    it.broker.mute.add("poll")
    it.world.run()
    it.world.wire.append(it.broker._empty(it.polls()[0], "deleted"))
    it.world.run()
    assert isinstance(it.session.failure, UnknownGroup)


def test_fixed_prefetch():
    it = Consuming(prefetch=50)
    it.publish(*(b"%d" % n for n in range(100)))
    it.take()
    assert it.queue.messages >= 25
    assert all(poll["messages"] <= 51 for poll in it.polls())
    none = Consuming(prefetch=0)
    none.publish(b"a", b"b")
    none.take()
    assert len(none.polls()) == 1


def test_who_hands_messages_on_without_an_outcome_tells_no_time():
    it = Consuming(prefetch=1)
    it.publish(b"a", b"b", b"c")
    it.take().ack()
    held = it.take()
    it.take().ack()
    it.idle()
    assert "live_us" not in it.polls()[-1]
    held.ack()
    other = Consuming(prefetch=1)
    other.publish(b"a", b"b")
    other.take().ack()
    other.take().ack()
    other.idle()
    assert other.polls()[-1]["live_us"] >= 0


def test_a_reboot_drops_what_is_not_started_and_goes_on_with_the_same_session():
    it = Consuming(prefetch=10)
    it.publish(b"a", b"b", b"c")
    message = it.take()
    it.broker.reboot()
    it.world.reconnect()
    assert it.queue.messages == 0
    message.ack()
    it.world.pass_time(0.01)
    assert it.broker.outcomes("ack") == [[1, 1]], "its settle may still be taken"
    assert len({poll["session"] for poll in it.polls()}) == 1


# ---- hand back


def filled(it: Consuming, handling: float = 0.001) -> None:
    """The session has handled some messages, and has more in its queue."""
    it.publish(*(b"%d" % n for n in range(100)))
    for _ in range(20):
        message = it.take()
        it.world.now += handling
        message.ack()


def test_a_slow_message_hands_back_what_is_not_started():
    it = Consuming()
    filled(it)
    it.take()
    assert it.queue.messages > 0
    it.world.pass_time(0.02)
    assert it.broker.outcomes("release") == []
    it.world.pass_time(0.03)
    assert it.queue.messages == 0
    assert all(e["started"] is False for kind, _, e in it.broker.settled if kind == "release")
    assert it.broker.outcomes("release")


def test_nothing_is_fetched_behind_a_slow_message_and_it_hands_back_once():
    it = Consuming()
    filled(it)
    it.take()
    it.world.pass_time(0.05)
    polls, released = len(it.polls()), it.broker.outcomes("release")
    it.world.pass_time(2)
    assert len(it.polls()) == polls
    assert it.broker.outcomes("release") == released


def test_each_slow_message_hands_back_once():
    it = Consuming(prefetch=10)
    other = it.new_hand()
    it.publish(b"a", b"b", b"c")
    it.take()
    it.world.pass_time(0.02)
    it.take(other)
    it.world.pass_time(0.015)
    assert it.queue.messages == 0
    assert (it.hand.slow, other.slow) == (True, False)
    it.session.waiting = 1
    it.publish(b"d", b"e")
    assert it.queue.messages == 2
    it.world.pass_time(0.01)
    assert it.queue.messages == 2, "the first message has handed back already"
    it.world.pass_time(0.02)
    assert it.queue.messages == 0, "the second one has not"


def test_slow_means_eight_times_the_median_too():
    it = Consuming()
    filled(it, handling=0.01)
    it.take()
    waiting = it.queue.messages
    assert waiting > 0
    it.world.pass_time(0.06)
    assert it.queue.messages == waiting
    it.world.pass_time(0.03)
    assert it.queue.messages == 0


def test_the_group_says_from_when_on_a_message_is_slow():
    it = Consuming()
    it.broker.hand_back_ms = 200
    filled(it, handling=0.005)
    it.take()
    waiting = it.queue.messages
    it.world.pass_time(0.19)
    assert it.queue.messages == waiting > 0
    it.world.pass_time(0.02)
    assert it.queue.messages == 0


def test_a_process_that_stood_still_does_not_hand_back():
    it = Consuming()
    filled(it)
    it.take()
    it.world.run()
    it.world.now += 5
    it.world.run()
    assert it.broker.outcomes("release") == []


# ---- batches, and answers that are odd


def test_batches_ask_for_whole_batches():
    it = Consuming()
    it.session.unit = 500
    it.world.run()
    assert it.polls()[0]["messages"] == 500


def test_a_batch_takes_over_leases_and_stops_at_its_bounds():
    it = Consuming(prefetch=100)
    for start in range(3):
        it.publish(*(b"%d" % n for n in range(start * 4, start * 4 + 4)))
        it.session.waiting, it.session.filling = 0, 1
    it.world.run()
    batch = it.take_batch(messages=10)
    assert [m.data for m in batch] == [b"%d" % n for n in range(10)]
    assert batch.data == [m.data for m in batch.messages]
    assert len(it.take_batch(messages=10)) == 2


def test_a_batch_is_bounded_by_bytes_but_never_empty():
    it = Consuming(prefetch=100)
    it.publish(*[b"x" * 100] * 10)
    it.session.waiting = 0
    it.world.run()
    assert len(it.take_batch(size=250)) == 2
    assert len(it.take_batch(size=10)) == 1


def test_deferred_messages_are_batches_of_their_own():
    it = Consuming(prefetch=100)
    it.publish(b"live")
    it.session.waiting, it.session.filling = 0, 1
    it.world.run()
    it.broker.grant_fields = {"lane": "deferred", "ranges": [7, 7, 20, 21]}
    it.world.publish("app", numbered(3))
    it.session.waiting = 0
    it.world.run()
    assert [len(it.take_batch()) for _ in range(3)] == [1, 1, 2]


def test_a_poll_is_heard_though_what_rode_on_it_was_confirmed_before():
    it = Consuming()
    it.publish(b"a")
    it.take().ack()
    it.broker.granting = False
    it.fetch_ahead()
    assert it.polls()[-1]["settle"]
    it.session.settling.leave_all(it.world.now)
    it.world.run()
    assert it.session.settling.empty
    it.broker.granting = True
    it.publish(b"b")
    assert it.take().data == b"b"


def test_leases_that_cannot_be_read_go_back_as_unheard(caplog):
    it = Consuming()
    it.world.run()
    damaged = bytearray(block(b"a"))
    damaged[-1] ^= 1
    lease = {"lease": b"L", "topic": "app", "lane": "live", "grant": 1, "lease_ms": 1000,
             "ranges": [1, 1], "at_us": 1}  # fmt: skip
    answer = it.broker._answer(it.polls()[0], (bytes(damaged),), n=1, leases=[lease], refused=[])
    it.world.wire.append(answer)
    it.world.pass_time(0.2)
    assert [(poll["n"], poll["got"]) for poll in it.polls()] == [(1, 0), (2, 0)]
    assert "CRC" in caplog.text


def test_a_suspect_is_worked_on_before_anything_else():
    it = Consuming(prefetch=10)
    it.publish(b"a", b"b")
    assert it.take().data == b"a"
    it.broker.grant_fields = {"lane": "deferred", "alone": True}
    it.fetch_ahead()
    it.world.publish("app", block(b"suspect"))
    assert [it.take().data for _ in range(2)] == [b"suspect", b"b"]
