"""`python -m laybyd.storecli VERB PATH...`: what `layby store` runs as a child.

Owns the dialogue with its parent: words in, one JSON object on stdout, progress on stderr, an exit
code of the daemon's list. Must never know how people are told.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laybyd.errors import Exit
from laybyd.store import base
from laybyd.store.backup import backup, restore
from laybyd.store.check import check
from laybyd.wire.block import crc_ok

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Progress = Callable[[str, int, int], None]

QUIET = "--quiet"


class ProblemsFoundError(base.Damaged):
    """A check that came to its end and found something; `found` is all it has to say."""

    def __init__(self, found: dict[str, Any]) -> None:
        problems = found["problems"]
        more = f" and {len(problems) - 1} more" if problems[1:] else ""
        super().__init__(f"the store is damaged: {problems[0]}{more}")
        self.found = found


def check_store(progress: Progress, path: Path) -> dict[str, Any]:
    found = check(path, crc_ok, progress)._asdict()
    if found["problems"]:
        raise ProblemsFoundError(found)
    return found


def back_up(progress: Progress, source: Path, target: Path) -> dict[str, Any]:
    return backup(source, target, progress)._asdict()


def bring_back(progress: Progress, source: Path, target: Path) -> dict[str, Any]:
    return restore(source, target, progress)._asdict()


VERBS: dict[str, Callable[..., dict[str, Any]]] = {
    "check": check_store,
    "backup": back_up,
    "restore": bring_back,
}
KINDS: tuple[tuple[type[base.StoreError], str, Exit], ...] = (
    (base.InUse, "in_use", Exit.STORE_IN_USE),
    (base.NoRight, "no_right", Exit.NO_RIGHT),
    (base.Damaged, "damaged", Exit.DAMAGED),
    (base.StoreError, "unavailable", Exit.BUG),
)


def run(words: Sequence[str]) -> tuple[dict[str, Any], Exit]:
    """The object to print, and how it ended."""
    verb, *paths = [word for word in words if word != QUIET]
    progress = _silent if QUIET in words else _told
    try:
        return VERBS[verb](progress, *map(Path, paths)), Exit.OK
    except base.StoreError as error:
        code, status = next(
            (code, status) for kind, code, status in KINDS if isinstance(error, kind)
        )
        found = getattr(error, "found", None)
        return {"code": code, "text": str(error), "found": found}, status


def _silent(name: str, done: int, total: int) -> None:
    pass


def _told(name: str, done: int, total: int) -> None:
    if name:
        sys.stderr.write(f"{name} ({done * 100 // max(1, total)} % done)\n")


def main() -> None:
    answer, status = run(sys.argv[1:])
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.exit(status)


if __name__ == "__main__":
    main()
