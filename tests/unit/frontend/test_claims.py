"""One daemon at a time listens at an ipc path, however the last one ended."""

from __future__ import annotations

import socket
from queue import SimpleQueue
from typing import TYPE_CHECKING

import pytest

from laybyd.errors import AddressInUse, ConfigError
from laybyd.frontend.claims import Claims
from laybyd.frontend.frontend import FrontEnd, Setup
from laybyd.wire.encode import Greeting

if TYPE_CHECKING:
    from pathlib import Path


def front_at(path: Path) -> FrontEnd:
    nobody = SimpleQueue().put
    return FrontEnd(Setup([f"ipc://{path}"], 1, 70, Greeting("test", b"s", 1, 1)), nobody, nobody)


def test_the_path_of_a_running_daemon_is_refused_and_left_alone(tmp_path: Path):
    path = tmp_path / "l.sock"
    first = front_at(path)
    first.start()
    try:
        serving = path.stat().st_ino
        with pytest.raises(AddressInUse, match=r"l\.sock"):
            front_at(path).start()
        assert path.stat().st_ino == serving
    finally:
        first.stop()
    again = front_at(path)
    again.start()
    again.stop()


def test_what_a_dead_daemon_left_at_the_path_is_taken_over(tmp_path: Path):
    path = tmp_path / "l.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    path.with_name("l.sock.lock").touch()
    front = front_at(path)
    front.start()
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
    finally:
        front.stop()


def test_the_same_path_twice_in_one_daemon_is_refused(tmp_path: Path):
    claims = Claims()
    try:
        claims.take(f"ipc://{tmp_path}/l.sock")
        with pytest.raises(AddressInUse):
            claims.take(f"ipc://{tmp_path}/l.sock")
    finally:
        claims.release()


def test_what_needs_no_file_needs_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    claims = Claims()
    for _ in range(2):
        claims.take("tcp://127.0.0.1:5577")
        claims.take("ipc://@layby")
    assert list(tmp_path.iterdir()) == []


def test_a_path_where_no_lock_can_be_is_said(tmp_path: Path):
    with pytest.raises(ConfigError, match="No such file or directory"):
        Claims().take(f"ipc://{tmp_path}/missing/l.sock")
