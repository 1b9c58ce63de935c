"""The per-commit form: 5,000 images, and that the recordings hold what the images are to judge."""

from __future__ import annotations

import pytest

from tests.crash import shim
from tests.crash.__main__ import images

COUNT = 5_000

pytestmark = [pytest.mark.slow, pytest.mark.integration]


@pytest.mark.timeout(1_200)
def test_no_power_cut_breaks_a_promise() -> None:
    shim.needed()
    found = images(seed=1, count=COUNT)
    assert not found["failures"], found["failures"][:3]
    assert found["count"] == COUNT
    covered = found["covered"]
    least = {"created": 10, "rolled": 50, "trimmed": 20, "used again": 10}
    least |= {"state commits": 500, "log commits": 500}
    assert {word for word, times in least.items() if covered.get(word, 0) < times} == set()
