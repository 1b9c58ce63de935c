"""The inbox: nothing is overslept, and only what is there is taken."""

import threading
from queue import Empty, SimpleQueue

import pytest

from laybyd.scheduler.inbox import Inbox

PATIENCE_S = 10


def test_what_was_put_is_taken_in_order():
    inbox = Inbox()
    assert not inbox
    for item in "abc":
        inbox.put(item)
    assert inbox
    assert [inbox.take() for _ in range(3)] == ["a", "b", "c"]
    with pytest.raises(IndexError):
        inbox.take()


def test_who_waits_goes_on_when_something_comes():
    inbox, woken = Inbox(), SimpleQueue()
    waiter = threading.Thread(target=lambda: (inbox.wait(None), woken.put(inbox.take())))
    waiter.start()
    inbox.put("a")
    assert woken.get(timeout=PATIENCE_S) == "a"
    waiter.join()


def test_what_came_before_the_wait_is_not_overslept():
    inbox = Inbox()
    inbox.put("a")
    inbox.wait(None)
    assert inbox.take() == "a"


def test_nobody_is_woken_for_what_is_taken():
    inbox = Inbox()
    for item in range(5):
        inbox.put(item)
    assert [inbox.take() for _ in range(5)] == [*range(5)]
    assert inbox._bell.locked()


def test_it_rings_for_what_is_there_already(monkeypatch):
    inbox, found = Inbox(), []
    monkeypatch.setattr(inbox, "ring", lambda: found.append(bool(inbox)))
    inbox.put("a")
    assert found == [True]


def test_a_wait_in_vain_ends():
    inbox = Inbox()
    inbox.wait(0)
    with pytest.raises(Empty):
        inbox.get(0.001)
    inbox.put("a")
    assert inbox.get() == "a"


def test_a_ring_needs_no_item_and_is_heard_once():
    inbox = Inbox()
    inbox.ring()
    inbox.ring()
    inbox.wait(None)
    assert not inbox
    assert inbox._bell.locked()


def test_a_ring_without_an_item_ends_no_wait_without_a_limit():
    """A put may ring for what was taken before it did."""
    inbox, got = Inbox(), SimpleQueue()
    inbox.ring()
    taker = threading.Thread(target=lambda: got.put(inbox.get()))
    taker.start()
    while inbox._bell.acquire(blocking=False):
        inbox._bell.release()
    inbox.put("a")
    assert got.get(timeout=PATIENCE_S) == "a"
    taker.join()


def test_time_that_is_up_before_the_wait_begins_is_no_wait_for_good():
    """Which is what the interpreter's SimpleQueue makes of it, within 4,000 waits."""
    inbox, ended = Inbox(), threading.Event()

    def waiting() -> None:
        for number in range(20_000):
            inbox.put(number)
            inbox.take()
            inbox.wait((1 + number % 8) / 1e6)
        ended.set()

    threading.Thread(target=waiting, daemon=True).start()
    assert ended.wait(PATIENCE_S)


def test_no_item_is_overslept_whoever_puts_it():
    """Four threads put while one waits, without a limit, for as many as they put."""
    inbox, taken, each = Inbox(), [], 5_000

    def putting(name: int) -> None:
        for number in range(each):
            inbox.put((name, number))

    def taking() -> None:
        while len(taken) < 4 * each:
            if not inbox:
                inbox.wait(None)
            while inbox:
                taken.append(inbox.take())

    threads = [threading.Thread(target=putting, args=(name,)) for name in range(4)]
    threads.append(threading.Thread(target=taking, daemon=True))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert not threads[-1].is_alive(), f"overslept after {len(taken)}"
    for name in range(4):
        assert [number for who, number in taken if who == name] == list(range(each))
