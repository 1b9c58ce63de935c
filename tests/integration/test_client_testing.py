"""The broker for tests, as users of the library meet it."""

from __future__ import annotations

import sys

import pytest

import layby
from layby.testing import Broker, layby_broker

pytestmark = pytest.mark.integration

assert layby_broker, "a fixture: found by its name"


def test_the_fixture_is_a_broker(layby_broker):
    with layby_broker.connect() as client:
        assert client.push("t", b"a") == 1


def test_settings_are_those_of_the_daemon():
    small = {"limits.max_message": "64KiB"}
    with (
        Broker(settings=small) as broker,
        layby.connect(broker.endpoint) as client,
        pytest.raises(layby.errors.TooLarge),
    ):
        client.push("t", bytes(65 << 10))


def test_two_brokers_know_nothing_of_each_other():
    with Broker() as one, Broker() as two, one.connect() as first, two.connect() as second:
        first.push("t", b"a")
        assert second.request("topics")["topics"] == []


def test_without_a_running_broker_there_is_no_endpoint():
    with pytest.raises(RuntimeError, match="with block"):
        _ = Broker().endpoint


def test_without_the_server_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "laybyd.daemon", None)
    with pytest.raises(RuntimeError, match=r"layby\[server\]"):
        Broker().start()
