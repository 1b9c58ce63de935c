"""Choosing among what a power cut may leave, and writing it out as files.

Owns the draw: which unflushed writes and names are there, which write is torn. Must never know
what the files mean or whether the state is right.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from random import Random

    from tests.crash.disk import Change, Disk, File, Node


class Kept(Enum):
    """How much of what was not flushed."""

    NONE = "nothing unflushed"
    ALL = "all"
    BUT_ONE = "all but one"
    ONE = "one"
    SOME = "some"
    FIRST = "the first ones"


class Image(NamedTuple):
    """`told` says how it was drawn, for who looks into a failure."""

    names: dict[str, Node]
    contents: dict[File, bytearray]
    told: str

    def write(self, root: Path, target: Path) -> None:
        """Below `target` what stood below `root`; what has lost its directory is lost."""
        for name, file in sorted(self.names.items()):
            path = target / Path(name).relative_to(root)
            if not path.parent.is_dir():
                continue
            if file is None:
                path.mkdir(mode=0o700)
            else:
                _write(path, self.contents[file])


def _write(path: Path, content: bytearray) -> None:
    """Zeros at the end are not written: a reserve of disk blocks would cost the most."""
    with path.open("wb") as out:
        out.write(content.rstrip(b"\0"))
        out.truncate(len(content))
    path.chmod(0o600)


def draw(disk: Disk, rng: Random) -> Image:
    how = rng.choice(list(Kept))
    writes = disk.pending()
    chosen = _some(len(writes), how, rng)
    kept = {id(writes[at][1]) for at in chosen}
    torn = writes[rng.choice(chosen)][1] if chosen and rng.random() < 0.5 else None
    grown = rng.random() < 0.25
    contents = {file: _content(file, kept, torn, grown, rng) for file in disk.files()}
    names = _names(disk, how, rng)
    told = f"{how.value}: {len(chosen)} of {len(writes)} writes, {len(disk.namings)} names open"
    return Image(names, contents, told + (", one torn" if torn else ""))


def everything(disk: Disk) -> Image:
    """The disk as the process saw it."""
    contents = {file: bytearray(file.base) for file in disk.files()}
    for file, content in contents.items():
        for change in file.changes:
            change.apply(content)
    return Image(disk.names, contents, "as it was")


def _some(count: int, how: Kept, rng: Random) -> list[int]:
    if not count or how is Kept.NONE:
        return []
    one = rng.randrange(count)
    return {
        Kept.ALL: lambda: list(range(count)),
        Kept.BUT_ONE: lambda: [at for at in range(count) if at != one],
        Kept.ONE: lambda: [one],
        Kept.FIRST: lambda: list(range(one + 1)),
        Kept.SOME: lambda: [at for at in range(count) if rng.random() < 0.5],
    }[how]()


def _content(
    file: File, kept: set[int], torn: Change | None, grown: bool, rng: Random
) -> bytearray:
    """`grown`: the size of a write that is not there may be."""
    if not file.changes:
        return file.base
    content = bytearray(file.base)
    for change in file.changes:
        if change is torn:
            for part in change.torn(rng):
                part.apply(content)
        elif change.flushed or id(change) in kept:
            change.apply(content)
        elif grown and change.data is not None:
            content.extend(bytes(max(0, change.at + len(change.data) - len(content))))
    return content


def _names(disk: Disk, how: Kept, rng: Random) -> dict[str, Node]:
    """Each naming that is there brings those it builds on."""
    namings = disk.namings
    wanted = {namings[at] for at in _some(len(namings), how, rng)}
    wanted |= {one for one in namings if not one.unflushed}
    for naming in reversed(namings):
        if naming in wanted:
            before = namings[: namings.index(naming)]
            wanted.update(one for one in before if naming.touches(one))
    names = dict(disk.durable)
    for naming in namings:
        if naming in wanted:
            naming.apply(names)
    return names
