"""The forms that every commit runs: forty kill loops, ten of them with a stop, and a black box."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from tests.kills.runs import LOOPS, STOP_EVERY, black_box, kill_loops

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SEED = 1
BLACK_BOX_S = 16.0

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """What the library says of lost leases is no news here."""
    log = logging.getLogger("layby")
    before = log.level
    log.setLevel(logging.CRITICAL)
    yield
    log.setLevel(before)


def test_forty_kills(tmp_path: Path):
    run = kill_loops(tmp_path, SEED, LOOPS, print)
    assert run.failures == []
    assert (run.faults["kills"], run.faults["stops"]) == (LOOPS, LOOPS // STOP_EVERY)
    assert run.account.pushed > 1_000
    assert run.account.settled > run.account.pushed
    assert run.account.boots > LOOPS // 2


def test_a_black_box_behind_a_bad_line(tmp_path: Path):
    run = black_box(tmp_path, SEED, BLACK_BOX_S, print)
    assert run.failures == []
    assert set(run.faults) >= {"cut", "stall", "delay", "drip", "kills"}
    assert run.account.pushed > 500
    assert run.account.settled > run.account.pushed
