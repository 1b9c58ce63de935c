"""The per-commit form: 5,000 images, and that the recordings hold what the images are to judge."""

from __future__ import annotations

import os

import pytest

from tests.crash import shim
from tests.crash.__main__ import images

COUNT = 5_000

pytestmark = [pytest.mark.slow, pytest.mark.integration]


@pytest.fixture(autouse=True)
def with_shim() -> None:
    """Where it cannot be built nothing can be proved: a failure where changes are judged."""
    try:
        shim.built()
    except shim.NoCompiler as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


@pytest.mark.timeout(1_200)
def test_no_power_cut_breaks_a_promise() -> None:
    found = images(seed=1, count=COUNT)
    assert not found["failures"], found["failures"][:3]
    assert found["count"] == COUNT
    covered = found["covered"]
    least = {"created": 10, "rolled": 50, "trimmed": 20, "used again": 10}
    least |= {"state commits": 500, "log commits": 500}
    assert {word for word, times in least.items() if covered.get(word, 0) < times} == set()
