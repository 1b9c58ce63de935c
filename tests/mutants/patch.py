"""A planted bug on paper: one unified diff and the promise that it breaks.

Owns the reading of the files in `patches/` and their application to texts. Must never know which
check finds a bug. A hunk stands where its old lines stand, whatever its line numbers say: so a
patch survives what changes around it, and fails when they are gone or stand in two places.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

PATCHES = Path(__file__).parent / "patches"
PROMISE = "breaks: "

_HUNK = re.compile(r"^@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")


class Misfit(Exception):
    """The patch is no patch, or does not fit the tree."""


class Hunk(NamedTuple):
    path: str
    old: str
    new: str


class Patch(NamedTuple):
    name: str
    promise: str
    hunks: tuple[Hunk, ...]

    @property
    def paths(self) -> list[str]:
        return sorted({hunk.path for hunk in self.hunks})

    def changed(self, tree: Path) -> dict[str, str]:
        """The new text of each file it changes. Raises Misfit."""
        texts: dict[str, str] = {}
        for hunk in self.hunks:
            text = texts.get(hunk.path)
            if text is None:
                text = _read(self.name, tree / hunk.path)
            texts[hunk.path] = _replaced(self.name, hunk, text)
        return texts

    def apply(self, tree: Path) -> None:
        for path, text in self.changed(tree).items():
            (tree / path).write_text(text)


def known() -> list[str]:
    """All planted bugs, in the order in which they are run."""
    return sorted(path.stem for path in PATCHES.glob("*.patch"))


def load(name: str) -> Patch:
    return parse(name, (PATCHES / f"{name}.patch").read_text())


def parse(name: str, text: str) -> Patch:
    lines = text.splitlines(keepends=True)
    if not lines or not lines[0].startswith(PROMISE):
        raise Misfit(f"{name}: the first line says which promise it breaks: '{PROMISE}...'")
    hunks: list[Hunk] = []
    path, at = "", 1
    while at < len(lines):
        line = lines[at]
        at += 1
        if line.startswith("+++ b/"):
            path = line[6:].rstrip()
        elif (found := _HUNK.match(line)) is not None:
            hunk, at = _hunk(path, found, lines, at)
            hunks.append(hunk)
    if not hunks:
        raise Misfit(f"{name}: it changes nothing")
    return Patch(name, lines[0][len(PROMISE) :].strip(), tuple(hunks))


def _hunk(path: str, head: re.Match[str], lines: list[str], at: int) -> tuple[Hunk, int]:
    """One hunk, and the line behind it."""
    old_left, new_left = (int(count or 1) for count in head.groups())
    old, new = "", ""
    while old_left or new_left:
        kind, line = lines[at][:1], lines[at][1:]
        at += 1
        if kind != "+":
            old += line
            old_left -= 1
        if kind != "-":
            new += line
            new_left -= 1
    return Hunk(path, old, new), at


def _read(name: str, path: Path) -> str:
    if not path.is_file():
        raise Misfit(f"{name}: there is no {path}")
    return path.read_text()


def _replaced(name: str, hunk: Hunk, text: str) -> str:
    times = text.count(hunk.old)
    if times != 1:
        raise Misfit(f"{name}: its lines stand {times} times in {hunk.path}:\n{hunk.old}")
    return text.replace(hunk.old, hunk.new)
