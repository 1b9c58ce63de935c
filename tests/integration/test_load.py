"""The load scenarios in short: only the account is judged, for times need a quiet machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCENARIOS = ("steady", "burst", "poison", "churn", "fan-in")
SECONDS = 6

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_account_of(scenario: str):
    """In a process of its own: locust makes the whole standard library cooperative."""
    done = subprocess.run(
        [sys.executable, "-m", "loadtests.run", scenario, "--seconds", str(SECONDS)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WRONG" not in done.stdout
    assert (ROOT / "loadtests" / "reports" / f"{scenario}.html").stat().st_size > 10_000
