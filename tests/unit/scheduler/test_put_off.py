"""Requests that were put off: in order within a connection, and no connection behind another's."""

from __future__ import annotations

from laybyd.core.events import Goodbye, Operate, Push, Quiesce
from laybyd.core.types import Caller
from laybyd.scheduler.put_off import SHARE_US, PutOff


def request(peer: str, number: int, group: str = "g") -> Goodbye:
    return Goodbye(Caller(peer.encode(), (), number), group, b"session")


def put_off(*events: object) -> PutOff:
    waiting = PutOff()
    assert waiting.take(events, all_of_them=True) == []
    return waiting


def taken(waiting: PutOff, took_us: dict[bytes, int]) -> list[str]:
    """Who was served, in order, each request taking as long as is said of its connection."""
    order = []
    while waiting:
        event = waiting.next()
        waiting.spent(event, took_us[event.caller.peer])
        order.append(f"{event.caller.peer.decode()}{event.caller.id}")
    return order


def test_a_connection_keeps_its_order_and_the_others_do_not_wait_for_all_of_it():
    waiting = put_off(*(request("a", n) for n in range(4)), request("b", 0), request("b", 1))
    order = taken(waiting, {b"a": 10 * SHARE_US, b"b": SHARE_US // 2})
    assert [one for one in order if one[0] == "a"] == ["a0", "a1", "a2", "a3"]
    assert order[:3] == ["a0", "b0", "b1"]


def test_who_takes_long_pays_with_the_rounds_that_follow():
    waiting = put_off(*(request("a", n) for n in range(3)), *(request("b", n) for n in range(40)))
    order = taken(waiting, {b"a": 10 * SHARE_US, b"b": SHARE_US})
    assert 8 <= order.index("a1") - order.index("a0") <= 12
    assert not waiting


def test_equal_requests_go_in_turn():
    waiting = put_off(*(request(peer, n) for peer in "ab" for n in range(3)))
    assert taken(waiting, dict.fromkeys((b"a", b"b"), SHARE_US)) == [
        "a0",
        "b0",
        "a1",
        "b1",
        "a2",
        "b2",
    ]


def test_later_requests_go_behind_those_that_wait_and_nobody_elses_do():
    waiting = put_off(request("a", 0))
    fresh = [request("b", 0), Quiesce()]
    events = [request("a", 1), *fresh]
    assert waiting.take(events, all_of_them=False) == fresh
    assert taken(waiting, {b"a": 1}) == ["a0", "a1"]
    assert waiting.take(events, all_of_them=False) == events


def test_it_says_which_groups_a_request_waits_for():
    push = Push(Caller(b"a"), "app", b"x", 1, 1, 0, False)
    operate = Operate(Caller(b"a"), "group_set", {"group": "h"})
    status = Operate(Caller(b"a"), "status", {})
    waiting = put_off(request("a", 0), request("b", 0), push, operate, status)
    assert dict(waiting.groups) == {"g": 2, "h": 1}
    while waiting:
        waiting.spent(waiting.next(), 1)
    assert not waiting.groups
