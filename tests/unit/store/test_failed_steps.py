"""A step that fails while the log rolls: full is refused and lived with, the rest is the last."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from laybyd.store import engine
from laybyd.store.base import Damaged, Full, Unavailable, Unknown
from laybyd.store.directory import Directory
from laybyd.store.lmdb_store import LmdbStore
from laybyd.store.statedb import StateDb
from tests.unit.store.stores import Disk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LAST = 30
"""Pushes over several segments."""


def once(error: Exception, real: Callable, when: Callable[..., bool] = lambda *_: True) -> Callable:
    """`real`, but for the first call of which `when` is true."""
    left = [error]

    def called(*args: object, **more: object) -> object:
        if left and when(*args):
            raise left.pop()
        return real(*args, **more)

    return called


def taken(disk: Disk, error: type[Exception]) -> int:
    """Pushes until one is refused; the number of it."""
    for seq in range(1, LAST):
        try:
            disk.push(seq)
        except error:
            return seq
    raise AssertionError("nothing was refused")


def goes_on(disk: Disk, seq: int) -> None:
    """All is there, and more may come."""
    assert disk.seqs() == list(range(1, seq))
    for more in range(seq, LAST):
        assert disk.push(more) == more
    disk.reopen()
    assert disk.seqs() == list(range(1, LAST))


@pytest.mark.parametrize(
    ("code", "error"), [(errno.EIO, Unknown), (errno.ENOSPC, Full), (errno.EDQUOT, Full)]
)
def test_the_directory_refuses_a_name(
    disk: Disk, monkeypatch: pytest.MonkeyPatch, code: int, error: type[Exception]
) -> None:
    failed = OSError(code, os.strerror(code))
    monkeypatch.setattr(engine, "sync", once(failed, engine.sync))
    seq = taken(disk, error)
    if error is Unknown:
        with pytest.raises(Unknown):
            disk.push(seq)
        disk.reopen()
    goes_on(disk, seq)


def test_the_next_segment_cannot_be_opened_for_want_of_room(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = once(Full("no room"), engine.open_env, lambda path, *_: path.name == "00000002.lmdb")
    monkeypatch.setattr(engine, "open_env", opened)
    goes_on(disk, taken(disk, Full))


def test_the_next_segment_cannot_be_opened_at_all(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = Unavailable("too many open files")
    opened = once(failed, engine.open_env, lambda path, *_: path.name == "00000002.lmdb")
    monkeypatch.setattr(engine, "open_env", opened)
    seq = taken(disk, Unknown)
    with pytest.raises(Unknown):
        disk.push(seq)
    disk.reopen()
    goes_on(disk, seq)


@pytest.mark.parametrize("is_taken", [False, True])
def test_nobody_knows_whether_the_state_names_the_next_segment(
    disk: Disk, monkeypatch: pytest.MonkeyPatch, is_taken: bool
) -> None:
    real = StateDb.set_meta

    def failing(state: StateDb, meta: object) -> None:
        if is_taken:
            real(state, meta)
        raise Unknown("the flush failed")

    with monkeypatch.context() as patch:
        patch.setattr(StateDb, "set_meta", failing)
        seq = taken(disk, Unknown)
    disk.reopen()
    goes_on(disk, seq)


def test_a_sealed_segment_that_could_not_be_opened_again_is_opened_by_its_reader(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = Unavailable("too many open files")
    opened = once(failed, engine.open_env, lambda path, *_: path.name == "00000001.lmdb")
    monkeypatch.setattr(engine, "open_env", opened)
    disk.fill(LAST)
    disk.store._spares.settle()
    disk.store.housekeep()
    assert disk.seqs() == list(range(1, LAST + 1))


def test_a_start_that_may_not_clear_up_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = OSError(errno.EIO, os.strerror(errno.EIO))
    monkeypatch.setattr(Directory, "remove_leftovers", once(failed, lambda _: None))
    store = LmdbStore(tmp_path / "store")
    with pytest.raises(Unknown, match="cannot be opened now"):
        store.acquire()
    store.acquire()
    store.close()


def test_a_file_is_made_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = engine.lmdb.DiskError("no room")
    full.code = errno.ENOSPC
    monkeypatch.setattr(engine.lmdb, "open", once(full, engine.lmdb.open))
    with pytest.raises(Full, match="no room left"):
        engine.open_env(tmp_path / "x.lmdb", 1 << 20, create=True)


@pytest.mark.parametrize(
    ("error", "meant"),
    [
        (engine.lmdb.MemoryError("mdb_dbi_open"), Unknown),
        (engine.lmdb.CorruptedError("x"), Damaged),
    ],
)
def test_a_want_of_memory_is_no_damage(
    tmp_path: Path, error: engine.lmdb.Error, meant: type[Exception]
) -> None:
    assert isinstance(engine.unreadable(error, tmp_path / "x", "cannot be read"), meant)


@pytest.mark.parametrize(("allowed", "full"), [(100, True), (101, False), (-1, False)])
def test_a_write_cut_short_where_the_file_may_not_grow_is_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: int, full: bool
) -> None:
    path = tmp_path / "x.lmdb"
    path.write_bytes(bytes(100))
    short = engine.lmdb.DiskError("short write")
    short.code = errno.EIO
    monkeypatch.setattr(engine, "free_bytes", lambda _: 1 << 40)
    monkeypatch.setattr(engine.resource, "getrlimit", lambda _: (allowed, -1))
    assert engine.is_full(short, path) is full


def test_a_commit_whose_last_page_was_refused_is_no_full_disk(tmp_path: Path) -> None:
    """Whether it counts shows at the next start; to call it not taken could be wrong."""
    path = tmp_path / "x.lmdb"
    full = engine.lmdb.DiskError("no room")
    full.code = errno.ENOSPC
    env = engine.open_env(path, 1 << 20, create=True)
    assert isinstance(engine.failed(full, path, env), Full)
    env.close()

    class GivenUp:
        def begin(self) -> None:
            raise engine.lmdb.PanicError("MDB_PANIC")

    assert isinstance(engine.failed(full, path, GivenUp()), Unknown)
