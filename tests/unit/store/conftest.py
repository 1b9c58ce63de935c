from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.store.stores import Disk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    one = Disk(tmp_path / "store")
    yield one
    one.close()
