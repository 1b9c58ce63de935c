"""The process: what the service manager hears of a long start, and what ends it unheard."""

import socket
import subprocess
import sys
import threading

import pytest

from laybyd import serve
from laybyd.config import Config

PATIENCE_S = 30

STILLBORN = """
import sys, threading
from laybyd import serve

sys.unraisablehook = serve.note_unraisable

class Stillborn(threading.Thread):
    def _bootstrap_inner(self):
        raise MemoryError

Stillborn().start()
"""

UNRELATED = """
import sys
from laybyd import serve

sys.unraisablehook = serve.note_unraisable

class Clumsy:
    def __del__(self):
        raise MemoryError

Clumsy()
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)


def test_a_thread_that_dies_before_it_begins_ends_the_daemon():
    ended = run(STILLBORN)
    assert ended.returncode == 70
    assert "a thread ended before it began" in ended.stderr


def test_what_a_destructor_raises_does_not():
    ended = run(UNRELATED)
    assert (ended.returncode, "MemoryError" in ended.stderr) == (0, True)


class Left(Exception):
    """Ends a start, once the manager has heard enough of it."""


@pytest.fixture
def manager(monkeypatch, tmp_path):
    """A service manager; this process keeps its signals to itself."""
    monkeypatch.setattr(serve.signal, "signal", lambda *_: None)
    monkeypatch.setattr(serve, "START_BEAT_S", 0.001)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE_S)
        yield manager


def starts(monkeypatch, tmp_path, recovery) -> None:
    """A process whose daemon's start is `recovery`."""
    process = serve.Process(Config.default(**{"store.path": str(tmp_path / "store")}))
    monkeypatch.setattr(process._daemon, "start", recovery)
    with pytest.raises(Left):
        process.run()


def asking() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == "layby-start"]


def test_a_start_that_takes_long_asks_for_more_time_until_it_is_over(
    manager, monkeypatch, tmp_path
):
    def recovery() -> None:
        for _ in range(2):
            assert manager.recv(1_000).startswith(b"STATUS=recovering the store")
            assert manager.recv(1_000) == b"EXTEND_TIMEOUT_USEC=60000000"
        raise Left

    starts(monkeypatch, tmp_path, recovery)
    assert not asking()


def test_a_start_that_hangs_is_not_excused_for_good(manager, monkeypatch, tmp_path):
    monkeypatch.setattr(serve, "STARTS_FOR_S", 0.003)

    def hang() -> None:
        for thread in asking():
            thread.join(PATIENCE_S)
        assert not asking()
        raise Left

    starts(monkeypatch, tmp_path, hang)
    assert manager.recv(1_000).startswith(b"STATUS=recovering")
