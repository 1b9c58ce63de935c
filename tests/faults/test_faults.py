"""A draw over every class of call; `python -m tests.faults` takes them all."""

from __future__ import annotations

import pytest

from laybyd.errors import Exit
from tests.crash import shim
from tests.faults.__main__ import some
from tests.faults.cases import SERIES, Case, Series, drawn, wrong_end

pytestmark = [pytest.mark.integration, pytest.mark.slow]

CASES = 150


@pytest.mark.timeout(600)
def test_a_call_that_fails_loses_nothing():
    shim.needed()
    found = some(seed=1, count=CASES)
    assert not found["failures"], found["failures"]
    covered = found["covered"]
    assert found["count"] == len(drawn(CASES, 1))
    assert covered.get("not reached", 0) < CASES / 3
    assert {str(series) for series in SERIES} <= set(covered), "a class of calls was never hit"
    assert covered["lived on"] > 10
    assert covered[f"exit {int(Exit.COMMIT_FAILED)}"] > 10, "a commit that fails ends the daemon"


def test_a_draw_is_its_seeds_own():
    assert drawn(40, 1) == drawn(40, 1) != drawn(40, 2)


def test_a_full_disk_ends_nobody_and_a_failed_flush_does():
    write, flush = Case(Series("W", 28), 5), Case(Series("F", 5), 5)
    assert wrong_end(write, None, at_start=False) is None
    assert wrong_end(write, Exit.COMMIT_FAILED, at_start=False)
    assert wrong_end(flush, Exit.COMMIT_FAILED, at_start=False) is None
    assert wrong_end(flush, Exit.BUG, at_start=False)
    assert wrong_end(flush, Exit.DAMAGED, at_start=True)
