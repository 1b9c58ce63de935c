from __future__ import annotations

from pathlib import Path

import pytest

from layby.cli.bench import disk
from layby.cli.bench.figures import KEYS, Measured, figures, medians, percentile


def test_percentiles() -> None:
    times = [n / 100 for n in range(100)]
    assert percentile(times, 50) == 0.5
    assert percentile(times, 99) == 0.99
    assert percentile([3.0], 99) == 3.0
    assert percentile([], 50) == 0.0


def test_figures_of_a_run() -> None:
    found = figures(Measured(1_000, 2.0, [0.001, 0.002], {"other": 5.0}), size=200)
    assert found["messages_per_s"] == 500
    assert found["mb_per_s"] == 0.1
    assert found["p50_ms"] == 2.0
    assert found["other"] == 5.0
    assert set(KEYS) < set(found)


def test_medians_are_of_each_figure() -> None:
    runs = [{"messages": 1, "a": a, "b": b} for a, b in ((1, 9), (5, 5), (9, 1))]
    assert medians(runs) == {"a": 5, "b": 5}


def test_the_disk_is_measured(tmp_path: Path) -> None:
    found = disk.measure(tmp_path, seconds=0.01)
    assert all(value is not None and value > 0 for value in found.values())
    assert list(tmp_path.iterdir()) == []


def test_without_a_directory_nothing_is() -> None:
    assert disk.measure(None) == {"disk_64k_mb_per_s": None, "disk_4k_p50_ms": None}


def test_a_missing_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        disk.measure(tmp_path / "no")
