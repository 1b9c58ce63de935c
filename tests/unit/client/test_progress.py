"""Reports of what is worked on: when, of what, and what an answer says of the leases."""

from __future__ import annotations

from tests.unit.client.consuming import Consuming


def test_progress_names_what_is_worked_on_with_its_age_and_not_what_waits():
    it = Consuming(prefetch=10)
    it.publish(b"a", b"b", b"c", b"d")
    first = it.take()
    it.world.pass_time(0.002)
    it.take()
    it.world.pass_time(10.2)
    [extend] = it.broker.ops("extend")
    [low, high, age] = extend["working"][0]
    assert (low, high) == (1, 2)
    assert 9_000 <= age <= 10_100
    first.ack()
    it.world.pass_time(10.2)
    assert [span[:2] for span in it.broker.ops("extend")[-1]["working"]] == [[2, 2]]


def test_no_leases_no_progress():
    it = Consuming()
    it.publish(b"a")
    it.take().ack()
    it.world.pass_time(25)
    assert it.broker.ops("extend") == []


def test_a_report_that_could_not_be_heard_is_told_again_soon_with_what_was_asked():
    it = Consuming()
    it.publish(b"a")
    it.broker.refuse("extend", "busy", retryable=True, retry_ms=100)
    it.take().extend(90)
    it.world.pass_time(0.099)
    assert len(it.broker.ops("extend")) == 1
    it.world.pass_time(0.002)
    first, second = it.broker.ops("extend")
    assert first["hold"] == second["hold"] == [[1, 90_000]]


def test_a_report_that_is_refused_for_good_is_not():
    it = Consuming()
    it.publish(b"a")
    it.broker.refuse("extend", "unknown_group", retryable=False)
    it.take().extend(90)
    it.world.pass_time(5)
    assert len(it.broker.ops("extend")) == 1


def test_extend_is_told_at_once():
    it = Consuming()
    it.publish(b"a")
    it.take().extend(90)
    it.world.run()
    [extend] = it.broker.ops("extend")
    assert extend["hold"] == [[1, 90_000]]


def test_a_lease_that_ended_while_we_were_cut_off_is_not_started():
    it = Consuming(prefetch=10)
    it.publish(b"a", b"b", b"c")
    it.take()
    it.world.link.disconnected()
    it.world.now += 31
    assert it.queue.take(it.hand, it.world.now) is None
