"""States that only a power cut leaves: what crash images have found, each as one small case."""

from __future__ import annotations

from typing import TYPE_CHECKING

from laybyd.store import engine
from laybyd.store.lmdb_store import LmdbStore
from tests.unit.store.stores import Disk

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_every_directory_that_is_made_is_made_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(engine, "sync", synced.append)
    store = LmdbStore(tmp_path / "some" / "where" / "store")
    store.acquire()
    store.close()
    assert synced[:3] == [tmp_path, tmp_path / "some", tmp_path / "some" / "where"]


def test_a_first_segment_left_half_made_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "store"
    path.mkdir()
    (path / "spare-00000001.lmdb").write_bytes(bytes(4_096))
    disk = Disk(path)
    assert disk.push(1) == 1
    disk.close()
