"""What every commit runs: a dozen harmed stores, each under a real daemon that is asked for all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.damage.daemons import COUNT, SEED, run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.timeout(300)
def test_a_daemon_hands_out_what_was_written_or_says_that_it_is_damaged(tmp_path: Path):
    account = run(SEED, COUNT, tmp_path)
    assert account["failures"] == []
    assert account["refused"] + account["ended"] >= 2
    assert account["refused_blocks"] >= 4
