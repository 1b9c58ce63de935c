"""A disk that tells what was flushed from what was only written, and what a power cut may leave.

Owns the rules: a flush of a file makes durable what was written to it before, one of a directory
the names in it; everything else may be there or not, in any part, a write cut at sector ends; a
name needs the changes before it that concern the same name or file. Must never know what the files
mean, nor which of the possible states to choose.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.crash import recording

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

    from tests.crash.recording import Record

SECTOR = 512


@dataclass(eq=False)
class Change:
    """Of one file: `data` written at `at`, or with no data its size set to `at`."""

    at: int
    data: bytes | None
    flushed: bool = False

    def apply(self, content: bytearray) -> None:
        if self.data is None:
            del content[self.at :]
            _extend(content, self.at)
        else:
            _extend(content, self.at)
            content[self.at : self.at + len(self.data)] = self.data

    def torn(self, rng: Random) -> list[Change]:
        """Some of its sectors only."""
        if self.data is None:
            return []
        ends = [
            *range(SECTOR - self.at % SECTOR, len(self.data), SECTOR),
            len(self.data),
        ]
        starts = [0, *ends[:-1]]
        some = [part for part in zip(starts, ends, strict=True) if rng.random() < 0.5]
        return [Change(self.at + start, self.data[start:end]) for start, end in some]


@dataclass(eq=False)
class File:
    """`base` is durable; behind it, in order, what may be and what is (a flush of one write)."""

    base: bytearray = field(default_factory=bytearray)
    changes: list[Change] = field(default_factory=list)

    def fold(self) -> None:
        while self.changes and self.changes[0].flushed:
            self.changes.pop(0).apply(self.base)


Node = File | None
"""A file, or None: a directory."""


@dataclass(eq=False)
class Naming:
    """Names given to nodes or taken away (False) in one step; durable when none of the
    directories still has to be flushed."""

    names: dict[str, Node | bool]
    unflushed: set[str]

    def touches(self, other: Naming) -> bool:
        files = {id(node) for node in self.names.values() if isinstance(node, File)}
        theirs = {id(node) for node in other.names.values() if isinstance(node, File)}
        return bool(self.names.keys() & other.names.keys() or files & theirs)

    def apply(self, names: dict[str, Node]) -> None:
        for path, node in self.names.items():
            if isinstance(node, bool):
                names.pop(path, None)
            else:
                names[path] = node


def _extend(content: bytearray, size: int) -> None:
    if len(content) < size:
        content.extend(bytes(size - len(content)))


class Disk:
    """Takes one record after the other."""

    def __init__(self) -> None:
        self.names: dict[str, Node] = {}
        """As the process sees them."""
        self.durable: dict[str, Node] = {}
        self.namings: list[Naming] = []
        self._open: dict[int, str | File] = {}
        self._flushing: dict[tuple[int, int], list[Change] | list[Naming]] = {}

    def place(self, root: Path) -> None:
        """What is below the directory now, as durable."""
        for path in sorted(root.rglob("*")):
            name = str(path)
            if not name.endswith(("-lock", "/lock")):
                self.names[name] = None if path.is_dir() else File(bytearray(path.read_bytes()))
        self.durable = dict(self.names)

    def files(self) -> Iterable[File]:
        known = {id(file): file for file in self.durable.values() if file}
        known |= {id(file): file for file in self.names.values() if file}
        for naming in self.namings:
            known |= {id(one): one for one in naming.names.values() if isinstance(one, File)}
        return known.values()

    # ---- what happened

    def take(self, record: Record) -> None:
        take = getattr(self, f"_{_TAKEN[record.kind]}", None)
        if take:
            take(record)

    def _opened(self, record: Record) -> None:
        path = record.path
        if path not in self.names and record.at & os.O_CREAT:
            self._name({path: File()})
        elif record.at & os.O_TRUNC:
            self._file(path).changes.append(Change(0, None))
        node = self.names.get(path)
        self._open[record.fd] = node or path

    def _file(self, path: str) -> File:
        file = self.names[path]
        assert file is not None, f"{path} is a directory"
        return file

    def _of(self, fd: int) -> File:
        file = self._open[fd]
        assert isinstance(file, File), f"{file} is a directory"
        return file

    def _written(self, record: Record) -> None:
        self._of(record.fd).changes.append(Change(record.at, record.data))

    def _cut(self, record: Record) -> None:
        self._of(record.fd).changes.append(Change(record.at, None))

    def _cut_by_name(self, record: Record) -> None:
        self._file(record.path).changes.append(Change(record.at, None))

    def _write_flushed(self, record: Record) -> None:
        file = self._of(record.fd)
        file.changes[-1].flushed = True
        file.fold()

    def _flush_begins(self, record: Record) -> None:
        what = self._open[record.fd]
        held = list(what.changes if isinstance(what, File) else self.namings)
        self._flushing[record.thread, record.fd] = held

    def _flush_ends(self, record: Record) -> None:
        held = self._flushing.pop((record.thread, record.fd))
        what = self._open[record.fd]
        for one in held:
            if isinstance(one, Change):
                one.flushed = True
            elif isinstance(what, str):
                one.unflushed.discard(what)
        if isinstance(what, File):
            what.fold()
        self._fold_names()

    def _fold_names(self) -> None:
        """A durable naming stays in line behind one that is not and that it builds on."""
        left: list[Naming] = []
        for naming in self.namings:
            if naming.unflushed or any(naming.touches(before) for before in left):
                left.append(naming)
            else:
                naming.apply(self.durable)
        self.namings = left

    def _name(self, names: dict[str, Node | bool]) -> None:
        naming = Naming(names, {os.path.dirname(path) for path in names})
        self.namings.append(naming)
        naming.apply(self.names)

    def _renamed(self, record: Record) -> None:
        old, new = record.path.split("\0")
        self._name({old: False, new: self.names[old]})

    def _removed(self, record: Record) -> None:
        if record.path in self.names:
            self._name({record.path: False})

    def _dir_made(self, record: Record) -> None:
        self._name({record.path: None})

    def _unseen(self, record: Record) -> None:
        raise AssertionError(f"the recorder cannot see what {record.path} writes")

    # ---- what may be left

    def pending(self) -> list[tuple[File, Change]]:
        """Writes that a power cut may undo, in order per file."""
        return [(file, one) for file in self.files() for one in file.changes if not one.flushed]


_TAKEN = {
    recording.OPEN: "opened",
    recording.WRITE: "written",
    recording.CUT_FD: "cut",
    recording.CUT_PATH: "cut_by_name",
    recording.FLUSH_BEGINS: "flush_begins",
    recording.FLUSHED: "flush_ends",
    recording.WRITE_FLUSHED: "write_flushed",
    recording.RENAME: "renamed",
    recording.REMOVE: "removed",
    recording.MAKE_DIR: "dir_made",
    recording.UNSEEN: "unseen",
    recording.FAILED: "failed",
    recording.MARK: "marked",
}
