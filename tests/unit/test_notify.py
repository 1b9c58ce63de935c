"""What the service manager hears, on a real datagram socket."""

import os
import socket

import pytest

from laybyd import notify
from laybyd.notify import Notifier


@pytest.fixture
def manager(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(5)
        yield sock


@pytest.fixture
def notifier(manager, tmp_path):
    return Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})


@pytest.mark.parametrize(
    ("say", "heard"),
    [
        (lambda to: to.ready("serving\nwell"), b"READY=1\nSTATUS=serving well"),
        (lambda to: to.status("3 groups"), b"STATUS=3 groups"),
        (lambda to: to.alive(), b"WATCHDOG=1"),
        (lambda to: to.stopping("leases"), b"STOPPING=1\nSTATUS=leases"),
        (lambda to: to.extend_timeout(5_000_000), b"EXTEND_TIMEOUT_USEC=5000000"),
    ],
)
def test_each_word_is_one_datagram(manager, notifier, say, heard):
    say(notifier)
    assert manager.recv(1_000) == heard


def test_an_abstract_address_is_understood():
    name = f"layby-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + name)
        sock.settimeout(5)
        Notifier({"NOTIFY_SOCKET": "@" + name}).alive()
        assert sock.recv(100) == b"WATCHDOG=1"


def test_without_a_manager_nothing_happens(monkeypatch, tmp_path):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    Notifier().ready("x")
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).ready("x")


def test_a_manager_that_does_not_read_does_not_stop_us(notifier, monkeypatch):
    monkeypatch.setattr(notify, "SEND_TIMEOUT_S", 0.001)
    for _ in range(1_000):
        notifier.alive()


@pytest.mark.parametrize(
    ("env", "within_us"),
    [
        ({}, 0),
        ({"WATCHDOG_USEC": "30000000"}, 30_000_000),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30_000_000),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, 0),
        ({"WATCHDOG_USEC": "soon"}, 0),
    ],
)
def test_the_watchdog_interval_comes_from_the_environment(env, within_us):
    assert Notifier({"NOTIFY_SOCKET": "/x", **env}).watchdog_us == within_us
    assert Notifier(env).watchdog_us == 0
