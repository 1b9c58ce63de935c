"""Single questions, and the link below them."""

from __future__ import annotations

import logging

import msgpack
import pytest

from layby import errors
from layby._requests import Requests
from layby.errors import Closed, OutcomeUnknown, Refused, TimedOut, Unreachable
from tests.unit.client.world import World


class Asking:
    def __init__(self) -> None:
        self.world = World()
        self.requests = Requests(self.world.link)
        self.results: list = []

    def ask(self, op: str, timeout: float = 5.0, **fields) -> int:
        deadline = self.world.now + timeout
        return self.requests.ask(op, fields, deadline, self.results.append)


@pytest.fixture
def it() -> Asking:
    return Asking()


def test_an_answer_is_found_by_its_id(it):
    it.ask("hello")
    it.ask("status")
    it.world.run()
    assert [answer.fields.get("state") for answer in it.results] == [None, "serving"]
    assert it.world.link.boot == 1


def test_a_refusal_is_an_exception_of_its_code(it):
    it.world.broker.refuse("status", "unknown_group", retryable=False, text="no such group")
    it.ask("status")
    it.world.run()
    [error] = it.results
    assert type(error) is errors.UnknownGroup
    assert (error.code, error.retryable, str(error)) == ("unknown_group", False, "no such group")
    assert error.hint


def test_an_unknown_code_goes_by_retryable(it):
    it.world.broker.refuse("status", "from_the_future", retryable=True, retry_ms=7)
    it.ask("status")
    it.world.run()
    [error] = it.results
    assert type(error) is Refused
    assert (error.code, error.retryable, error.retry_ms) == ("from_the_future", True, 7)


def test_no_answer_in_time(it):
    it.world.broker.mute |= {"status", "drop"}
    it.ask("status", timeout=1)
    it.ask("drop", timeout=2)
    it.world.pass_time(3)
    assert [type(error) for error in it.results] == [TimedOut, OutcomeUnknown]


def test_no_connection_in_time(it):
    it.world.link.disconnected()
    it.ask("drop", timeout=1)
    it.world.pass_time(2)
    assert [type(error) for error in it.results] == [Unreachable]


def test_a_new_connection_repeats_what_changes_nothing_and_gives_up_the_rest(it):
    it.world.broker.mute |= {"status", "drop"}
    it.ask("status")
    it.ask("drop")
    it.world.run()
    it.world.broker.mute.clear()
    it.world.reconnect()
    assert isinstance(it.results[0], OutcomeUnknown)
    assert it.results[1].fields["state"] == "serving"


@pytest.mark.parametrize("op", ["topic_delete", "group_delete", "group_set", "retry", "drop"])
def test_what_destroys_is_never_sent_twice(it, op):
    """Between the two others may have pushed, acked and set what the second would undo."""
    it.world.broker.mute.add(op)
    it.ask(op)
    it.world.run()
    it.world.reconnect()
    it.ask(op, timeout=1)
    it.world.pass_time(2)
    assert [type(error) for error in it.results] == [OutcomeUnknown, OutcomeUnknown]
    assert len(it.world.broker.ops(op)) == 2, "each question once"
    assert "push" not in it.results[0].hint


def test_what_was_never_sent_is_sent_once_there_is_a_connection(it):
    it.world.link.disconnected()
    it.ask("goodbye", session=b"s")
    it.world.run()
    it.world.reconnect()
    assert it.results[0].ok


def test_a_forgotten_request_tells_nobody(it):
    it.requests.forget(it.ask("status"))
    it.world.run()
    assert it.results == []


def test_failing_tells_everybody(it):
    it.world.broker.mute.add("status")
    it.ask("status")
    it.world.link.fail(Closed("over"))
    assert [str(error) for error in it.results] == ["over"]


@pytest.mark.parametrize(
    "frames",
    [
        [b""],
        [b"\xc1"],
        [msgpack.packb([1])],
        [msgpack.packb({"op": "confirm", "ok": True})],
        [msgpack.packb({"ok": True, "id": 1, "n": 1, "leases": 3})],
    ],
)
def test_an_answer_that_makes_no_sense_is_dropped_and_logged(it, frames, caplog):
    it.ask("status")
    it.world.wire.append(frames)
    with caplog.at_level(logging.ERROR):
        it.world.run()
    assert len(it.results) == 1


def test_a_callback_that_raises_is_logged(it, caplog):
    it.world.link.after.append(lambda: 1 / 0)
    it.world.run()
    assert "ZeroDivisionError" in caplog.text
