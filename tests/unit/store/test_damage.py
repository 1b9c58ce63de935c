"""What is not what was written is found, named and refused."""

from __future__ import annotations

import random
import shutil
from typing import TYPE_CHECKING

import lmdb
import pytest

from laybyd.core import effects as fx
from laybyd.core.types import DEAD, GroupRecord, Parked
from laybyd.store import engine, keys, records, values
from laybyd.store.base import Damaged, Unavailable
from laybyd.store.check import CheckResult, check, walk
from laybyd.store.statedb import StateDb
from tests.unit.store.stores import BODY, Disk, body

if TYPE_CHECKING:
    from pathlib import Path


def block_ok(block: bytes) -> bool:
    return block == block[:8] * (len(block) // 8)


@pytest.fixture
def full(disk: Disk) -> Disk:
    """Several segments, some state, closed."""
    disk.fill(20)
    disk.store.commit_state(disk.fence, [])
    disk.close()
    return disk


def refused(disk: Disk) -> str:
    with pytest.raises(Damaged) as caught:
        disk.open()
    return str(caught.value)


def flip(path: Path, needle: bytes) -> None:
    """Flip a bit of the needle wherever it is found: older pages may hold it, too."""
    data = path.read_bytes()
    assert needle in data
    path.write_bytes(data.replace(needle, bytes((needle[0] ^ 1,)) + needle[1:]))


def test_a_flipped_bit_in_a_block_is_left_to_its_own_checksum(full: Disk) -> None:
    flip(full.segments()[0], body(3, 4_000))
    full.open()
    row, found = full.store.read(3)
    assert found != body(3)
    assert (row.first, len(found)) == (3, BODY)
    assert full.store.read(4)[1] == body(4)


@pytest.mark.parametrize("segment", [0, -1])
def test_a_flipped_bit_in_the_index_is_damage(full: Disk, segment: int) -> None:
    path = full.segments()[segment]
    env = engine.open_env(path, 1 << 28, dbs=2)
    index = env.open_db(b"index", create=False)
    with env.begin() as txn:
        cursor = txn.cursor(db=index)
        entries = [bytes(value) for key, value in cursor if len(key) == 8]
    env.close()
    flip(path, entries[2][6:])
    if segment == -1:
        assert path.name in refused(full)
        return
    full.open()
    with pytest.raises(Damaged, match="fails its checksum"):
        full.store.rows(1, 100)


@pytest.mark.parametrize("which", [0, 1, -1])
def test_a_missing_segment(full: Disk, which: int) -> None:
    path = full.segments()[which]
    path.unlink()
    assert f"{path} is missing" in refused(full)


def test_a_wiped_page_of_the_state_never_reaches_the_engine(full: Disk) -> None:
    """The engine ends the process, or calls it a failed commit, when such a page is in its way."""
    path = full.path / "state.lmdb"
    whole = path.read_bytes()
    live = 0
    for at in range(2 * 4_096, len(whole), 4_096):
        path.write_bytes(whole[:at] + bytes(4_096) + whole[at + 4_096 :])
        if engine.problems_of(path):
            live += 1
            assert "restore the store from a backup" in refused(full)
    assert live
    path.write_bytes(whole)
    full.open()
    assert full.seqs() == list(range(1, 21))


def test_a_missing_state(full: Disk) -> None:
    (full.path / "state.lmdb").unlink()
    assert "state.lmdb is missing" in refused(full)


def test_a_segment_under_another_number(full: Disk) -> None:
    one, two = full.segments()[:2]
    shutil.copy(one, two)
    assert "as segment 1" in refused(full)


def test_a_segment_of_another_store(full: Disk, tmp_path: Path) -> None:
    other = Disk(tmp_path / "other")
    other.fill(20)
    other.close()
    shutil.copy(other.segments()[1], full.segments()[1])
    assert "belongs to store" in refused(full)


def test_a_segment_too_many(full: Disk) -> None:
    last = full.segments()[-1]
    shutil.copy(last, full.path / "00000099.lmdb")
    assert "00000099.lmdb is no part of this store" in refused(full)
    (full.path / "00000099.lmdb").unlink()
    ahead = full.path / f"{len(full.segments()) + 1:08}.lmdb"
    shutil.copy(last, ahead)
    assert f"{ahead.name} is no part of this store" in refused(full)


def test_an_older_copy_of_the_last_segment(disk: Disk) -> None:
    disk.fill(4)
    disk.close()
    path = disk.segments()[-1]
    older = path.read_bytes()
    disk.open()
    disk.fill(10, first=5)
    disk.close()
    path.write_bytes(older)
    assert f"{path} ends before its seal" in refused(disk)


@pytest.mark.parametrize("name", ["state.lmdb", "00000001.lmdb"])
def test_a_file_cut_short_or_wiped_or_foreign(full: Disk, name: str) -> None:
    path = full.path / name
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 4096 * 2048])
    assert f"{path} is cut short" in refused(full)
    path.write_bytes(bytes(len(whole)))
    assert f"{path} is not a database" in refused(full)
    path.write_bytes(b"")
    assert f"{path} is not a database" in refused(full)
    path.unlink()
    env = lmdb.open(str(path), subdir=False, lib_version=0)
    with env.begin(write=True) as txn:
        txn.put(b"some", b"thing")
    env.close()
    assert str(path) in refused(full)


def test_a_store_of_a_newer_version(full: Disk) -> None:
    state = StateDb(full.path / "state.lmdb", 1 << 20)
    state.set_meta(state.load_meta()._replace(format=2))
    state.close()
    with pytest.raises(Unavailable, match="another version of layby"):
        full.open()


# ---- check --------------------------------------------------------------------------------------


def test_a_whole_store_is_whole(full: Disk) -> None:
    told = []
    found = check(full.path, block_ok, lambda *progress: told.append(progress))
    assert found.is_whole
    assert (found.blocks, found.messages) == (20, 20)
    assert found.files == len(full.segments()) + 1
    assert told[-1] == ("", found.bytes, found.bytes)
    assert [name for name, _, _ in told[:-1]] == [
        *(path.name for path in full.segments()),
        "state.lmdb",
    ]


def test_a_store_in_use_or_absent_is_not_checked(disk: Disk, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="in use"):
        check(disk.path, block_ok)
    with pytest.raises(Unavailable, match="no store"):
        check(tmp_path / "nothing", block_ok)


def checked(disk: Disk) -> CheckResult:
    return walk(disk.path, block_ok)


def test_a_damaged_block_is_named(full: Disk) -> None:
    flip(full.segments()[0], body(3, 4_000))
    found = checked(full)
    assert found.problems == (
        f"{full.segments()[0]}: the block at positions 3..3 of topic app fails its checksum",
    )
    assert found.blocks == 20


def test_missing_files_are_named(full: Disk) -> None:
    full.segments()[1].unlink()
    assert any("00000002.lmdb is missing" in problem for problem in checked(full).problems)
    (full.path / "state.lmdb").unlink()
    assert any("state.lmdb is missing" in problem for problem in checked(full).problems)


def test_what_pins_the_log_must_agree_with_what_is_parked(disk: Disk) -> None:
    disk.fill(20)
    ops = [
        fx.SaveGroup(GroupRecord(1, "group", ("app",), 1, 5)),
        fx.Park(DEAD, Parked(1, 5, 6, "app", 0, 0, 0, 8, 5, in_log=True)),
        fx.Account(1, 0, 0, 2, 0),
    ]
    puts = records.encode(ops, lambda park: None)
    puts = [(keys.pin(1, 9), values.seal(keys.pin(1, 9), 9)), *puts, (keys.pin(1, 6), None)]
    disk.store.commit_state(disk.fence, puts)
    disk.close()
    path = disk.path / "state.lmdb"
    assert checked(disk).problems == (
        f"{path}: group group: 5-6 does not pin its log",
        f"{path}: group group: 9-9 pins the log for no record",
    )


def test_a_reader_that_dies_is_an_answer(full: Disk) -> None:
    found = check(full.path, dies)
    assert found.problems == (
        "00000001.lmdb: reading it ended the process (SIGABRT); it is damaged",
    )


def dies(block: bytes) -> bool:
    import os

    os.abort()


@pytest.mark.slow
def test_flips_of_live_bytes_are_found(full: Disk) -> None:
    """A check that says whole means it: each flip is reported, or changed nothing that is read."""
    rng = random.Random(11)
    for _ in range(30):
        path = rng.choice([*full.segments(), full.path / "state.lmdb"])
        whole = path.read_bytes()
        data = bytearray(whole)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        found = check(full.path, block_ok)
        if found.is_whole:
            full.open()
            assert full.seqs() == list(range(1, 21))
            full.close()
        path.write_bytes(whole)
    assert checked(full).is_whole
