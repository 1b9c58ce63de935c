"""What is particular to the store on disk: its files, its lock, its reserve."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import lmdb
import pytest

from laybyd.store import engine
from laybyd.store.base import Full, InUse, NewBlock, NoRight, Unavailable, Unknown
from laybyd.store.lmdb_store import LmdbStore
from laybyd.store.segment import Segment
from laybyd.store.statedb import StateDb
from tests.unit.store.stores import BODY, SEGMENT, Disk

if TYPE_CHECKING:
    from pathlib import Path


def test_nobody_else_may_look_in(disk: Disk) -> None:
    disk.fill(12)
    assert stat.S_IMODE(disk.path.stat().st_mode) == 0o700
    assert {stat.S_IMODE(one.stat().st_mode) for one in disk.path.iterdir()} == {0o600}


def test_a_second_store_on_the_directory_is_refused(disk: Disk) -> None:
    with pytest.raises(InUse, match="in use by another process"):
        LmdbStore(disk.path).acquire()
    disk.push(1)


def test_another_process_is_refused_and_may_follow(disk: Disk) -> None:
    code = (
        "import sys, pathlib; from laybyd.store.lmdb_store import LmdbStore\n"
        "sys.exit(LmdbStore(pathlib.Path(sys.argv[1])).acquire().boot)"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    def other() -> subprocess.CompletedProcess:
        command = [sys.executable, "-c", code, str(disk.path)]
        return subprocess.run(command, env=env, capture_output=True, check=False)

    assert b"InUse" in other().stderr
    disk.close()
    assert other().returncode == 2
    assert disk.open().boot == 3


def test_a_place_that_cannot_be_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(Unavailable, match="cannot be opened"):
        LmdbStore(file).acquire()

    def refuse(*args: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(NoRight, match="may not be used"):
        LmdbStore(tmp_path / "store").acquire()


def test_retired_segments_are_used_again(disk: Disk) -> None:
    disk.fill(20)
    before = {one.stat().st_ino for one in disk.segments()}
    assert len(before) > 1
    disk.trim(20)
    disk.store._spares.settle()
    assert disk.store.facts().spare_segments >= 1
    disk.fill(30, first=21)
    after = {one.stat().st_ino for one in disk.segments()}
    assert before & after
    assert disk.seqs() == list(range(disk.store.facts().start, 51))
    disk.reopen()
    assert disk.seqs() == list(range(disk.store.facts().start, 51))
    disk.close()
    assert [engine.problems_of(one) for one in disk.path.glob("*.lmdb")] == [
        [] for _ in disk.path.glob("*.lmdb")
    ]


def test_only_so_many_spares_are_kept(disk: Disk) -> None:
    disk.fill(60)
    disk.trim(60)
    disk.store._spares.settle()
    assert len([name for name in disk.names() if name.startswith("spare")]) <= 3
    disk.reopen()
    assert len([name for name in disk.names() if name.startswith("spare")]) <= 2
    disk.fill(60, first=61)


def test_a_block_larger_than_a_segment_has_one_to_itself(disk: Disk) -> None:
    disk.push(1)
    assert disk.push(2, 3 * SEGMENT) == 2
    assert disk.push(3) == 3
    assert disk.store.facts().segments == 3
    disk.reopen()
    assert disk.seqs() == [1, 2, 3]


def test_a_new_file_is_filled_while_the_log_is_quiet(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("laybyd.store.spares.QUIET_S", 0.001)
    monkeypatch.setattr("laybyd.store.spares.FILL_BYTES", SEGMENT // 4)
    disk.fill(4)
    spares = disk.store._spares
    spares.settle()
    (spare,) = disk.path.glob("spare-*.lmdb")
    with spares._changed:
        assert spares._changed.wait_for(lambda: spare.stat().st_size >= SEGMENT, 10)
    assert spare.stat().st_blocks * 512 >= SEGMENT
    disk.fill(9, first=5)
    assert disk.seqs() == list(range(1, 14))


def test_the_ballast_is_given_for_settling_and_taken_back(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.store.commit_state(disk.fence, [(b"k", b"before")])
    apply, failures = StateDb._apply, [no_space()]

    def fail_once(state: StateDb, puts: list) -> None:
        if failures:
            raise failures.pop()
        apply(state, puts)

    monkeypatch.setattr(StateDb, "_apply", fail_once)
    assert "ballast" in disk.names()
    disk.store.commit_state(disk.fence, [(b"k", b"after")])
    assert disk.store.read_state(b"k", b"l", 1) == [(b"k", b"after")]
    assert "ballast" not in disk.names()
    assert disk.store.room().state_full
    failures.append(no_space())
    with pytest.raises(Full):
        disk.store.commit_state(disk.fence, [(b"k", b"later")])
    disk.store.housekeep()
    assert "ballast" in disk.names()
    assert not disk.store.room().state_full
    disk.store.commit_state(disk.fence, [(b"k", b"later")])


def test_a_full_disk_refuses_and_carries_on(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    disk.push(1)
    with monkeypatch.context() as patch:
        patch.setattr(Segment, "_append", _fail_with(no_space()))
        patch.setattr(engine, "free_bytes", lambda path: 0)
        with pytest.raises(Full):
            disk.push(2)
        assert disk.store.room().log_full
        assert disk.store.room().disk_full
    assert not disk.store.room().log_full
    assert not disk.store.room().disk_full
    assert disk.push(2) == 2
    disk.reopen()
    assert disk.seqs() == [1, 2]


def test_a_short_write_counts_as_full_only_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = engine_error(errno.EIO)
    assert not engine.is_full(error, tmp_path)
    monkeypatch.setattr(engine, "free_bytes", lambda path: 4_096)
    assert engine.is_full(error, tmp_path)


def test_an_unknown_outcome_ends_all_writing(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    disk.push(1)
    with monkeypatch.context() as patch:
        patch.setattr(Segment, "_append", _fail_with(engine_error(errno.EPERM)))
        with pytest.raises(Unknown):
            disk.push(2)
    with pytest.raises(Unknown):
        disk.push(2)
    with pytest.raises(Unknown):
        disk.store.commit_state(disk.fence, [(b"k", b"v")])
    with pytest.raises(Unknown):
        disk.trim(1)
    assert disk.seqs() == [1]
    disk.reopen()
    assert disk.push(2) == 2


def engine_error(code: int) -> lmdb.Error:
    error = lmdb.Error("commit")
    error.code = code
    return error


def no_space() -> lmdb.Error:
    return engine_error(errno.ENOSPC)


def _fail_with(error: Exception):
    def fail(*args: object) -> None:
        raise error

    return fail


def test_a_body_of_the_wrong_kind_takes_nothing(disk: Disk) -> None:
    with pytest.raises(TypeError):
        disk.store.append(disk.fence, [NewBlock("a", 1, "text", ())], 1)  # type: ignore[arg-type]
    assert disk.push(1) == 1


def test_housekeeping_notices_a_disk_that_fills_up(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(engine, "free_bytes", lambda path: 0)
        disk.store.housekeep()
        assert disk.store.room().log_full
    assert not disk.store.room().log_full


def test_checkpoints_bound_what_a_start_replays(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("laybyd.store.writer.CHECKPOINT_COMMITS", 4)
    for seq in range(1, 60):
        disk.push(seq, 64, topic=f"topic-{seq % 5}")
    topics = disk.store.topics()
    producers = disk.store.producers()
    disk.reopen()
    assert len(disk.store._log.active._tail_pushes) <= 4
    assert (disk.store.topics(), disk.store.producers()) == (topics, producers)
    disk.fill(30, first=60)
    disk.reopen()
    (one,) = disk.store.producers()
    assert [row[0] for row in one.recent] == list(range(1, 90))


def test_sizes_are_told(disk: Disk) -> None:
    disk.fill(10)
    room = disk.store.room()
    assert 10 * BODY < room.used < 14 * BODY + SEGMENT
    assert room.limit == 8 << 20
    assert disk.store.facts().kind == "lmdb"
