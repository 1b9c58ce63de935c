"""Ten thousand hostile connections: the daemon does not grow, and its neighbour gets on."""

from __future__ import annotations

import socket

import pytest

from tests.fuzz import crowd, zmtp

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


@pytest.mark.parametrize(("calm_ms", "busy_ms", "failures"), [(9.0, 18.0, 0), (9.0, 18.1, 1)])
def test_a_neighbour_that_is_slower_is_noticed(
    monkeypatch: pytest.MonkeyPatch, calm_ms: float, busy_ms: float, failures: int
):
    waits = iter([calm_ms, busy_ms])
    monkeypatch.setattr(zmtp.Neighbour, "p99_ms", lambda self: next(waits))
    found = zmtp.run(seed=2, count=200, judge_times=True)["failures"]
    assert len([failure for failure in found if "p99" in failure]) == len(found) == failures


def test_a_crowd_that_goes_wrong_says_why():
    """Nobody listens there."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with crowd.CrowdProcess(port, seed=1) as process, pytest.raises(ConnectionRefusedError):
            process.grow(1)
