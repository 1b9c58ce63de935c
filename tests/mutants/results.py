"""What is known of each planted bug: one JSON line per run, the last one counts.

Owns the file and its lines. Must never know how a run is done.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Result:
    """`killed_by` is the first red check, empty for a survivor; `seconds` from the start of the
    first stage. `doubts` are checks that were red and could not be made red again."""

    mutant: str
    patch: str
    stages: tuple[str, ...]
    stage: str
    killed_by: str
    seconds: float
    commit: str
    date: str
    doubts: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[object, ...]:
        """A run with the same key needs no other."""
        return self.mutant, self.patch, self.stages, self.commit


class Results:
    def __init__(self, path: Path) -> None:
        self._path = path
        self.all: dict[tuple[object, ...], Result] = {}
        lines = path.read_text().splitlines() if path.exists() else []
        for line in lines:
            fields = json.loads(line)
            lists = {name: tuple(fields[name]) for name in ("stages", "doubts")}
            self._keep(Result(**fields | lists))

    def _keep(self, result: Result) -> None:
        self.all.pop(result.key, None)
        self.all[result.key] = result

    def add(self, result: Result) -> None:
        self._keep(result)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps(asdict(result)) + "\n")

    def get(self, key: tuple[object, ...]) -> Result | None:
        return self.all.get(key)

    def latest(self) -> dict[str, list[Result]]:
        """All there is of each bug as it is now, oldest first."""
        found: dict[str, list[Result]] = {}
        for result in self.all.values():
            found.setdefault(result.mutant, []).append(result)
        return found
