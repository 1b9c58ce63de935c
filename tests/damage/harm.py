"""What may become of a file: bits flip, pages are zeroed, ends and middles are lost.

Owns the draw of a harm from a seed and its doing. Must never know which bytes matter.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

PAGE = 4_096
KINDS = ("flip", "flip", "flip", "flip", "zero", "cut")


class Harm(NamedTuple):
    """`at` and `size` are of bytes; a flip is of bit `bit` there."""

    kind: str
    file: str
    at: int
    size: int = 1
    bit: int = 0

    def do(self, store: Path) -> None:
        path = store / self.file
        data = bytearray(path.read_bytes())
        if self.kind == "flip":
            data[self.at] ^= 1 << self.bit
        elif self.kind == "zero":
            data[self.at : self.at + self.size] = bytes(len(data[self.at : self.at + self.size]))
        elif self.kind == "cut":
            del data[self.at :]
        else:
            del data[self.at : self.at + self.size]
        path.write_bytes(data)


def drawn(store: Path, seed: int) -> Harm:
    """Half of all harm is done to the state, whose file is the smallest."""
    chance = random.Random(seed)
    files = sorted(path.name for path in store.glob("0*.lmdb"))
    file = "state.lmdb" if chance.random() < 0.5 else chance.choice(files)
    size = (store / file).stat().st_size
    kind = chance.choice(KINDS)
    if kind == "flip":
        return Harm(kind, file, chance.randrange(size), bit=chance.randrange(8))
    page = chance.randrange(size // PAGE)
    if kind == "zero":
        return Harm(kind, file, page * PAGE, PAGE * chance.choice((1, 1, 1, 2, 8)))
    if chance.random() < 0.5:
        return Harm("cut", file, chance.randrange(size))
    return Harm("take out", file, page * PAGE, PAGE)
