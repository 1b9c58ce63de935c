"""Reasons, delays and holds that cannot be sent: escaped, or refused where they are handed in."""

from __future__ import annotations

import logging

import pytest

from tests.unit.client.consuming import batch_of, entries, sent, taken


def test_a_reason_that_is_no_utf8_is_escaped():
    """As in the text of an error about a file whose name has an odd byte."""
    it, [one, two] = taken(2)
    one.fail("cannot parse caf\udce9.log")
    two.reject("\ud800" * 2_000)
    [failed] = entries(it, "fail")
    assert failed["reason"] == "cannot parse caf\\udce9.log"
    assert len(entries(it, "reject")[0]["reason"]) == 1_024


def test_an_exception_whose_text_is_no_utf8_fails_its_message(monkeypatch):
    # What is captured of the log is handed from process to process as UTF-8.
    monkeypatch.setattr(logging.getLogger("layby"), "propagate", False)
    it, [message] = taken(1)
    with message:
        raise ValueError("caf\udce9")
    [entry] = entries(it, "fail")
    assert entry["reason"] == "ValueError: caf\\udce9"


def test_an_exception_without_a_text_fails_its_message(caplog):
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    it, [message] = taken(1)
    with message:
        raise Mute
    [entry] = entries(it, "fail")
    assert entry["reason"].startswith("Mute: (no text")


def test_a_reason_that_is_no_text_leaves_the_message_without_outcome():
    it, [message] = taken(1)
    with pytest.raises(TypeError):
        message.fail(ValueError("x"))
    message.ack()
    assert sent(it) == [("ack", [1, 1])]


@pytest.mark.parametrize("delay", [367 * 86_400, float("inf"), float("nan")])
def test_a_delay_beyond_the_protocols_is_no_outcome(delay):
    it, [message] = taken(1)
    with pytest.raises(ValueError, match="366 days"):
        message.defer(delay)
    with pytest.raises(ValueError, match="366 days"):
        message.extend(delay)
    message.defer(-5)
    [deferred] = entries(it, "defer")
    assert deferred["delay_ms"] == 0
    assert it.broker.ops("extend") == []


def test_a_batch_is_not_deferred_beyond_the_protocols_bound():
    it, batch = batch_of(3)
    with pytest.raises(ValueError, match="366 days"):
        batch.defer(400 * 86_400)
    batch.ack()
    assert sent(it) == [("ack", [1, 3])]
