"""What has been run: one JSON line per slice and method, so that a run goes on where it stopped.

Owns the files. Must never know how a slice is run.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Slice:
    """`told` is the whole line that the command ended with; `next_seed` is where to go on."""

    method: str
    seed: int
    count: int
    next_seed: int
    failures: tuple[Any, ...]
    seconds: float
    commit: str
    date: str
    told: dict[str, Any] = field(default_factory=dict)


class Slices:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, method: str) -> list[Slice]:
        path = self._path(method)
        lines = path.read_text().splitlines() if path.exists() else []
        fields = [json.loads(line) for line in lines]
        return [Slice(**one | {"failures": tuple(one["failures"])}) for one in fields]

    def add(self, one: Slice) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._path(one.method).open("a") as file:
            file.write(json.dumps(asdict(one)) + "\n")

    def _path(self, method: str) -> Path:
        return self._folder / f"{method}.slices.jsonl"


def done(slices: Sequence[Slice]) -> int:
    return sum(one.count for one in slices)


def next_seed(slices: Sequence[Slice]) -> int:
    return slices[-1].next_seed if slices else 1
