"""Copies of a store, and a store made of a copy.

Owns the order of copying and what a restore changes. Must never know blocks or delivery rules.

A store may be copied while a daemon runs it: both have the files open, the engine gives each copy
one moment's view, and the directory's `hold` keeps the daemon from freeing any of it. The log is
copied before the state, so the state may know of blocks that the copy lacks: a restore takes that
out again. Positions behind the copy's end are then used a second time, for other
messages, so the epoch rises with every restore, and the last segment is sealed: from there on the
two logs are told apart by their files, too.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from laybyd.store import engine, records
from laybyd.store.base import Damaged, InUse, Unavailable
from laybyd.store.directory import Directory
from laybyd.store.producers import ProducerTable
from laybyd.store.segment import SLACK_BYTES, Segment
from laybyd.store.segments import check_order
from laybyd.store.statedb import StateDb, open_to_read
from laybyd.store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

STATE = "state.backup"
"""Not the name of a store's state: a backup is restored, never run."""

BOOTS_SKIPPED = 1_000
"""Leases handed out after the backup was made must not come from a boot that is still to be."""

STATE_BYTES = 1 << 34

READ_BYTES = 1 << 35
"""Address space to read a segment in that may grow meanwhile; no memory."""

Progress = Callable[[str, int, int], None]
"""Called with the file that comes next, the files done and the files in all."""


def no_progress(name: str, done: int, total: int) -> None:
    pass


class BackupResult(NamedTuple):
    files: int
    bytes: int
    start: int
    end: int
    epoch: int


class RestoreResult(NamedTuple):
    """`lost` is the number of parked records whose messages the copy of the log did not have."""

    files: int
    bytes: int
    start: int
    end: int
    epoch: int
    lost: int


# ---- out --------------------------------------------------------------------------------------


def backup(source: Path, target: Path, progress: Progress = no_progress) -> BackupResult:
    """Copy a store, whether a daemon runs it or not. Raises Unavailable, Damaged."""
    directory = Directory(source)
    if not directory.state.exists():
        raise Unavailable(f"there is no store in {source}")
    with directory.holding(), _opened(directory) as (segments, state):
        return _copy_out(segments, state, target, progress)


@contextmanager
def _opened(directory: Directory) -> Iterator[tuple[list[Segment], StateDb]]:
    state = open_to_read(directory.state)
    segments: list[Segment] = []
    try:
        for number in range(state.meta.first, state.meta.last + 1):
            path = directory.segment(number)
            segments.append(Segment(path, READ_BYTES, readonly=True))
            check_order(segments)
        yield segments, state
    finally:
        for segment in segments:
            segment.close()
        state.close()


def _map_bytes(path: Path) -> int:
    return (path.stat().st_size if path.exists() else 0) + SLACK_BYTES


def _copy_out(
    segments: Sequence[Segment], state: StateDb, target: Path, progress: Progress
) -> BackupResult:
    """To a directory that does not exist yet; it gets its name when all is in it."""
    with _whole_or_nothing(target) as made:
        files = len(segments) + 1
        size = 0
        for done, segment in enumerate(segments):
            progress(segment.path.name, done, files)
            size += segment.copy_to(made / segment.path.name)
        progress(STATE, files - 1, files)
        size += state.copy_to(made / STATE)
        progress("", files, files)
    last = target / segments[-1].path.name
    copied = Segment(last, _map_bytes(last), readonly=True)
    copied.close()
    end = copied.end or segments[-1].end
    return BackupResult(files, size, segments[0].base, end, state.meta.epoch)


@contextmanager
def _whole_or_nothing(target: Path) -> Iterator[Path]:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Unavailable(f"{target} is there already")
    made = target.with_name(target.name + ".partial")
    try:
        with _claimed(made):
            yield made
            engine.sync(made)
            made.rename(target)
            engine.sync(target.parent)
    except OSError as error:
        raise engine.unusable(error, target) from error


@contextmanager
def _claimed(made: Path) -> Iterator[None]:
    """An empty directory that no other process fills; one that was killed left it half full."""
    engine.make_dir(made)
    fd = os.open(made, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for path in made.iterdir():
            path.unlink()
        yield
    except BlockingIOError as error:
        raise InUse(f"another process is writing to {made}") from error
    finally:
        os.close(fd)


# ---- back -------------------------------------------------------------------------------------


def restore(source: Path, target: Path, progress: Progress = no_progress) -> RestoreResult:
    """Make a store of a backup, in a directory that does not exist yet. Raises Unavailable,
    Damaged."""
    if not (source / STATE).exists():
        raise Unavailable(f"there is no backup in {source}")
    if not Directory(source).segments():
        raise Damaged(f"{source} holds no segment of a log")
    with _whole_or_nothing(target) as made:
        directory = Directory(made)
        size = _copy_in(source, directory, progress)
        numbers = list(directory.segments())
        start, end = _seal(directory, numbers)
        epoch, lost = _adopt_state(directory, numbers, end)
    return RestoreResult(len(numbers) + 1, size, start, end, epoch, lost)


def _copy_in(source: Path, directory: Directory, progress: Progress) -> int:
    files = [*Directory(source).segments().values(), source / STATE]
    size = 0
    for done, path in enumerate(files):
        progress(path.name, done, len(files))
        problems = engine.problems_of(path)
        if problems:
            raise Damaged(f"{path}: {problems[0]}; this backup cannot be restored")
        made = directory.state if path.name == STATE else directory.path / path.name
        shutil.copyfile(path, made)
        made.chmod(0o600)
        engine.sync(made)
        size += made.stat().st_size
    progress("", len(files), len(files))
    return size


def _seal(directory: Directory, numbers: list[int]) -> tuple[int, int]:
    """Close the copied log; where it begins and ends."""
    segments: list[Segment] = []
    table = ProducerTable()
    try:
        for number in numbers:
            path = directory.segment(number)
            is_past = number != numbers[-1]
            segments.append(Segment(path, _map_bytes(path), readonly=is_past))
            check_order(segments)
        for segment in [one for one in segments if one.opening][-1:]:
            segment.tell_producers(table)
        if not segments[-1].sealed:
            Writer(segments[-1], table).seal()
        return segments[0].base, segments[-1].end
    finally:
        for segment in segments:
            segment.close()


def _adopt_state(directory: Directory, numbers: list[int], end: int) -> tuple[int, int]:
    """The new epoch, and how many parked records were cut off."""
    state = StateDb(directory.state, STATE_BYTES)
    try:
        meta = state.load_meta()
        if numbers != list(range(meta.first, numbers[-1] + 1)):
            raise Damaged(f"the backup lacks segments of the log: it has {numbers}")
        puts, lost = records.cut_at(state, end)
        state.commit(puts)
        state.set_meta(
            meta._replace(
                epoch=meta.epoch + 1,
                epoch_from=numbers[-1] + 1,
                boot=meta.boot + BOOTS_SKIPPED,
                last=numbers[-1],
            )
        )
        return meta.epoch + 1, lost
    finally:
        state.close()
