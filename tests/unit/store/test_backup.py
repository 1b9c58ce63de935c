"""Copies of a store, and stores made of copies."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from laybyd.core import effects as fx
from laybyd.core.types import DEAD, DEFERRED, GroupRecord, Parked, Piece
from laybyd.store import backup as backups
from laybyd.store import records
from laybyd.store.backup import backup, restore
from laybyd.store.base import Damaged, Postponed, Unavailable
from laybyd.store.check import walk
from laybyd.store.statedb import StateDb
from tests.unit.store.stores import Disk, body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

GROUP = GroupRecord(1, "group", ("app",), 1, 5)


def block_ok(block: bytes) -> bool:
    return block == block[:8] * (len(block) // 8)


def commit(disk: Disk, *ops: fx.StateOp) -> None:
    puts = records.encode(ops, lambda park: body(park.record.first, 800))
    disk.store.commit_state(disk.fence, puts)


COPIER = f"""
import sys
from pathlib import Path
from laybyd.store.backup import backup

def told(name, done, files):
    if name == {backups.STATE!r}:
        print("at the state", flush=True)
        sys.stdin.readline()

backup(Path(sys.argv[1]), Path(sys.argv[2]), told)
"""


@contextmanager
def copying(source: Path, target: Path, killed: bool = False) -> Iterator[Callable[[], None]]:
    """Another process has copied the log and waits before the state; what is given goes on."""
    command = [sys.executable, "-c", COPIER, str(source), str(target)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as copier:
        assert copier.stdout is not None
        assert copier.stdout.readline() == b"at the state\n"
        yield lambda: copier.communicate(b"\n")
        if killed:
            copier.kill()
    assert copier.returncode == (-signal.SIGKILL if killed else 0)


def copied(source: Path, target: Path) -> None:
    with copying(source, target) as go_on:
        go_on()


def parked(first: int, last: int, in_log: bool = False) -> Parked:
    return Parked(1, first, last, "app", 1, 90, 10, 800, first, in_log=in_log)


def test_a_backup_becomes_the_same_store(disk: Disk, tmp_path: Path) -> None:
    disk.fill(20)
    commit(disk, fx.SaveGroup(GROUP), fx.Delta(1, 1, ((1, 7),)))
    disk.trim(5)
    before = (disk.seqs(), disk.store.topics(), disk.store.producers())
    start = disk.store.facts().start
    disk.close()
    told = []
    made = backup(disk.path, tmp_path / "backup", lambda *progress: told.append(progress))
    assert (made.start, made.end, made.epoch) == (start, 21, 1)
    assert told[-1] == ("", made.files, made.files)
    back = restore(tmp_path / "backup", tmp_path / "again")
    assert (back.start, back.end, back.epoch, back.lost) == (start, 21, 2, 0)
    assert walk(tmp_path / "again", block_ok).is_whole
    again = Disk(tmp_path / "again")
    assert again.fence == disk.fence._replace(epoch=2, boot=disk.fence.boot + 1_001)
    assert (again.seqs(), again.store.topics(), again.store.producers()) == before
    assert records.load_groups(again.store)[0].done == ((1, 7),)
    again.fill(20, first=21)
    again.reopen()
    assert again.seqs() == list(range(start, 41))
    (producer,) = again.store.producers()
    assert [row[0] for row in producer.recent] == list(range(1, 41))
    again.close()
    assert walk(again.path, block_ok).is_whole


@pytest.mark.parametrize("pushed", [0, 1])
def test_a_small_store_is_backed_up_too(disk: Disk, tmp_path: Path, pushed: int) -> None:
    disk.fill(pushed)
    disk.close()
    backup(disk.path, tmp_path / "backup")
    for name in ("one", "two"):
        restore(tmp_path / "backup", tmp_path / name)
        again = Disk(tmp_path / name)
        again.fill(3, first=pushed + 1)
        again.reopen()
        assert again.seqs() == list(range(1, pushed + 4))
        again.close()
        assert walk(again.path, block_ok).is_whole
    backup(again.path, tmp_path / "second")
    assert restore(tmp_path / "second", tmp_path / "three").epoch == 3


def work_on(disk: Disk, end: int) -> None:
    """Push, settle and park on both sides of a position."""
    disk.fill(20, first=end)
    commit(
        disk,
        fx.Delta(1, 1, ((1, 3), (10, 25))),
        fx.Park(DEFERRED, parked(5, 5), (Piece(5, 5, 5),)),
        fx.Park(DEFERRED, parked(end + 2, end + 2), (Piece(end + 2, end + 2, end + 2),)),
        fx.Park(DEAD, parked(end + 4, end + 5, in_log=True)),
        fx.Account(1, 2, 1_600, 2, 0),
        fx.ForgetTopic("app", end + 3),
    )


def test_a_running_store_is_copied_while_it_goes_on(disk: Disk, tmp_path: Path) -> None:
    """The log is copied before the state: what the copy of the log lacks, the state forgets. And
    nothing is trimmed meanwhile."""
    disk.fill(12)
    commit(disk, fx.SaveGroup(GROUP))
    end = disk.store.facts().end

    with copying(disk.path, tmp_path / "backup") as go_on:
        work_on(disk, end)
        with pytest.raises(Postponed, match="is being copied"):
            disk.trim(30)
        go_on()
    assert disk.trim(30) > 1
    back = restore(tmp_path / "backup", tmp_path / "again")
    assert (back.end, back.lost) == (end, 2)
    assert walk(tmp_path / "again", block_ok).problems == ()
    again = Disk(tmp_path / "again")
    assert again.seqs() == list(range(1, end))
    (state,) = records.load_groups(again.store)
    assert state.done == ((1, 3), (10, end - 1))
    assert (state.deferred, state.deferred_bytes, state.dead, state.pinned) == (1, 800, 0, ())
    found, _ = records.find_parked(again.store, 1, DEFERRED, (), 0, 10)
    assert [record.first for record in found] == [5]
    assert records.load_forgotten(again.store) == {"app": end}
    again.close()


def test_what_is_there_is_not_overwritten(disk: Disk, tmp_path: Path) -> None:
    disk.close()
    with pytest.raises(Unavailable, match="is there already"):
        backup(disk.path, disk.path)
    backup(disk.path, tmp_path / "backup")
    with pytest.raises(Unavailable, match="is there already"):
        restore(tmp_path / "backup", disk.path)
    with pytest.raises(Unavailable, match="no backup"):
        restore(disk.path, tmp_path / "again")
    with pytest.raises(Unavailable, match="no store"):
        backup(tmp_path / "backup", tmp_path / "again")


def test_a_copier_that_is_killed_holds_nothing_and_leaves_no_backup(
    disk: Disk, tmp_path: Path
) -> None:
    disk.fill(20)
    with copying(disk.path, tmp_path / "backup", killed=True), pytest.raises(Postponed):
        disk.trim(15)
    assert disk.trim(15) > 1
    assert not (tmp_path / "backup").exists()
    copied(disk.path, tmp_path / "backup")
    assert restore(tmp_path / "backup", tmp_path / "again").end == 21


def test_two_copies_to_one_place_do_not_meet(disk: Disk, tmp_path: Path) -> None:
    disk.fill(3)
    with copying(disk.path, tmp_path / "backup") as go_on:
        command = [sys.executable, "-m", "laybyd.storecli", "backup", "--quiet"]
        command += [str(disk.path), str(tmp_path / "backup")]
        other = subprocess.run(command, capture_output=True, check=False)
        assert other.returncode == 75
        assert b"another process is writing" in other.stdout
        go_on()
    assert restore(tmp_path / "backup", tmp_path / "again").end == 4


def test_freeing_twice_in_a_row_is_no_copying(disk: Disk) -> None:
    disk.fill(30)
    assert 1 < disk.trim(10) < disk.trim(20) < disk.trim(30)


def test_a_backup_is_not_run_by_mistake(disk: Disk, tmp_path: Path) -> None:
    disk.fill(3)
    copied(disk.path, tmp_path / "backup")
    with pytest.raises(Damaged, match=r"state\.lmdb is missing"):
        Disk(tmp_path / "backup")


def test_a_damaged_backup_is_refused_and_leaves_nothing(disk: Disk, tmp_path: Path) -> None:
    disk.fill(20)
    copied(disk.path, tmp_path / "backup")
    segments = sorted((tmp_path / "backup").glob("0*.lmdb"))
    segments[1].rename(tmp_path / "kept")
    with pytest.raises(Damaged):
        restore(tmp_path / "backup", tmp_path / "again")
    (tmp_path / "kept").rename(segments[1])
    data = segments[0].read_bytes()
    segments[0].write_bytes(data[: len(data) // 2])
    with pytest.raises(Damaged, match=r"00000001\.lmdb.*cannot be restored"):
        restore(tmp_path / "backup", tmp_path / "again")
    assert not (tmp_path / "again").exists()
    segments[0].write_bytes(data)
    restore(tmp_path / "backup", tmp_path / "again")


def test_the_original_cannot_pass_for_the_restored(disk: Disk, tmp_path: Path) -> None:
    """Both go on from the same segment; a file of one is refused by the other."""
    disk.fill(3)
    copied(disk.path, tmp_path / "backup")
    disk.fill(10, first=4)
    disk.close()
    restore(tmp_path / "backup", tmp_path / "again")
    again = Disk(tmp_path / "again")
    again.fill(10, first=4)
    again.close()
    (again.path / "00000002.lmdb").write_bytes((disk.path / "00000002.lmdb").read_bytes())
    with pytest.raises(Damaged, match="is of epoch 1"):
        again.open()


def test_a_backup_of_another_version_is_refused(disk: Disk, tmp_path: Path) -> None:
    copied(disk.path, tmp_path / "backup")
    state = StateDb(tmp_path / "backup" / backups.STATE, 1 << 20)
    state.set_meta(state.load_meta()._replace(format=2))
    state.close()
    with pytest.raises(Unavailable, match="another version"):
        restore(tmp_path / "backup", tmp_path / "again")
