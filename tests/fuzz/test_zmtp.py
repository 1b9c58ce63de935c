"""Ten thousand hostile connections: the daemon does not grow, and its neighbour gets on."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from tests.fuzz import aside, crowd, zmtp

pytestmark = [pytest.mark.integration, pytest.mark.slow]

CONNECTIONS = 10_000


@pytest.mark.timeout(900)
def test_ten_thousand_hostile_connections():
    found = zmtp.run(seed=1, count=CONNECTIONS)
    assert found["failures"] == []
    assert sum(found["kinds"].values()) == CONNECTIONS
    assert set(found["kinds"]) == {kind.__name__ for kind in crowd.KINDS}
    assert found["rounds"] >= zmtp.CALM_ROUNDS + zmtp.SLICES * zmtp.ROUNDS


def test_what_stays_open_is_noticed(monkeypatch: pytest.MonkeyPatch):
    """The bad ones do not leave: a daemon that leaks looks like that."""
    monkeypatch.setattr(zmtp.CrowdProcess, "leave", lambda self: None)
    found = zmtp.run(seed=2, count=200)
    assert any("descriptors" in failure for failure in found["failures"])


def test_growth_is_noticed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(zmtp, "GROWN_BYTES", -1)
    assert any("grew" in failure for failure in zmtp.run(seed=2, count=200)["failures"])


@pytest.mark.parametrize(
    ("calm_ms", "aside_ms", "busy_ms", "failures"),
    [
        (9.0, 18.0, 18.0, 0),
        (9.0, 18.0, 18.1, 1),
        (9.0, 9.0, 13.5, 0),
        (9.0, 9.0, 13.6, 1),
        (9.0, 9.0, 18.1, 2),
    ],
)
def test_a_neighbour_that_is_slower_is_noticed(
    calm_ms: float, aside_ms: float, busy_ms: float, failures: int
):
    found = {"calm_p99_ms": calm_ms, "aside_p99_ms": aside_ms, "p99_ms": busy_ms}
    assert len(zmtp.too_slow(found)) == failures


def test_what_is_too_slow_fails_the_run(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(zmtp, "WORSE", 0.0)
    monkeypatch.setattr(zmtp, "WORSE_THAN_ASIDE", 0.0)
    assert len(zmtp.run(seed=2, count=20, judge_times=True)["failures"]) == 2


def test_the_neighbour_is_timed_in_calm_with_the_crowd_elsewhere_and_with_it_here(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(zmtp, "WORSE", 1e6)
    monkeypatch.setattr(zmtp, "WORSE_THAN_ASIDE", 1e6)
    found = zmtp.run(seed=2, count=200, judge_times=True)
    assert found["failures"] == []
    assert min(found[of] for of in ("calm_p99_ms", "aside_p99_ms", "p99_ms")) > 0.0
    assert found["rounds"] >= zmtp.CALM_ROUNDS + 2 * zmtp.SLICES * zmtp.ROUNDS


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """Nobody listens there."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def test_the_crowd_elsewhere_is_elsewhere(monkeypatch: pytest.MonkeyPatch, deaf_port: int):
    elsewhere = contextlib.nullcontext(SimpleNamespace(port=deaf_port))
    monkeypatch.setattr(zmtp, "AsideProcess", lambda: elsewhere)
    with pytest.raises(ConnectionRefusedError):
        zmtp.run(seed=2, count=20, judge_times=True)


def test_the_server_elsewhere_reads_all_and_lets_go():
    with (
        aside.AsideProcess() as server,
        socket.create_connection(("127.0.0.1", server.port), 20) as one,
        socket.create_connection(("127.0.0.1", server.port), 20) as another,
    ):
        another.sendall(b"left open")
        one.sendall(bytes(16 << 20))
        one.shutdown(socket.SHUT_WR)
        assert one.recv(1) == b""


def test_a_crowd_that_goes_wrong_says_why(deaf_port: int):
    with crowd.CrowdProcess(deaf_port, seed=1) as process, pytest.raises(ConnectionRefusedError):
        process.grow(1)
