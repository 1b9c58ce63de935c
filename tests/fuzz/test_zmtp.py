"""Ten thousand hostile connections: the daemon does not grow, and its neighbour gets on."""

from __future__ import annotations

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
    leave, stayed = zmtp.CrowdProcess.leave, []
    monkeypatch.setattr(zmtp.CrowdProcess, "leave", lambda self: stayed.append(self))
    found = zmtp.run(seed=2, count=200)
    for process in stayed:
        leave(process)
    assert any("descriptors" in failure for failure in found["failures"])


def test_growth_is_noticed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(zmtp, "GROWN_BYTES", -1)
    assert any("grew" in failure for failure in zmtp.run(seed=2, count=200)["failures"])


def test_a_neighbour_that_is_slower_is_noticed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(zmtp, "WORSE", 0.0)
    (failure,) = zmtp.run(seed=2, count=200, judge_times=True)["failures"]
    assert "p99" in failure
