"""Is the store in this directory whole? Every file, every record, every block is read.

Owns the order of the questions: first the files' structure, by a verifier that never hands them
to the engine, then what is in them. Must never know a block's insides (`block_ok` does) nor mend
anything. A page that is damaged badly enough ends whoever reads it, so the reading is done in a
child process, and its death is an answer too.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from laybyd.core.types import POSITION_END
from laybyd.store import engine
from laybyd.store.base import Damaged, Unavailable
from laybyd.store.check_log import check_segment
from laybyd.store.check_state import check_state
from laybyd.store.directory import Directory
from laybyd.store.statedb import open_to_read

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from pathlib import Path

    from laybyd.store.statedb import Meta


class CheckResult(NamedTuple):
    """`problems` are sentences that name a file; none means that the store is whole."""

    files: int
    bytes: int
    blocks: int
    messages: int
    records: int
    problems: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        return not self.problems


def check(
    path: Path,
    block_ok: Callable[[bytes], bool],
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> CheckResult:
    """The whole check, in a child process; `block_ok` must be a function of some module.
    `progress` is called with the file that comes next, the bytes done and the bytes in all.
    Raises Unavailable (in use, no right, no store there)."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_serve, args=(theirs, path, block_ok), name="layby-check")
    child.start()
    theirs.close()
    last = ""
    try:
        while True:
            kind, *told = ours.recv()
            if kind == "progress":
                last = told[0]
                progress(*told)
            elif kind == "refused":
                raise told[0]
            else:
                return CheckResult(*told)
    except EOFError:
        child.join()
        return _died(last, child.exitcode or 0)
    finally:
        child.join()


def _died(last: str, code: int) -> CheckResult:
    how = signal.Signals(-code).name if code < 0 else f"exit {code}"
    problem = f"{last or 'the store'}: reading it ended the process ({how}); it is damaged"
    return CheckResult(0, 0, 0, 0, 0, (problem,))


def _serve(out: Connection, path: Path, block_ok: Callable[[bytes], bool]) -> None:
    try:
        found = walk(path, block_ok, lambda *told: out.send(("progress", *told)))
        out.send(("found", *found))
    except Unavailable as error:
        out.send(("refused", error))


def walk(
    path: Path,
    block_ok: Callable[[bytes], bool],
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> CheckResult:
    """The same in this process, for a caller that is a child already."""
    directory = Directory(path)
    if not directory.state.exists() and not (path.is_dir() and directory.segments()):
        raise Unavailable(f"there is no store in {path}")
    directory.own(make=False)
    try:
        return _Walk(directory, block_ok, progress).result()
    finally:
        directory.disown()


class _Walk:
    def __init__(
        self,
        directory: Directory,
        block_ok: Callable[[bytes], bool],
        progress: Callable[[str, int, int], None],
    ) -> None:
        self._directory = directory
        self._block_ok = block_ok
        self._progress = progress
        self._problems: list[str] = []
        self._sums: Counter[str] = Counter()
        self._end = 0

    def result(self) -> CheckResult:
        meta = self._guarded(self._meta)
        segments = self._in_service(meta)
        files = [*segments.values(), self._directory.state]
        sizes = [path.stat().st_size if path.exists() else 0 for path in files]
        done = 0
        for number, path, size in zip([*segments, 0], files, sizes, strict=True):
            self._progress(path.name, done, sum(sizes))
            self._check_file(number, path, meta)
            done += size
        self._progress("", done, sum(sizes))
        return CheckResult(
            files=len(files),
            bytes=done,
            blocks=self._sums["blocks"],
            messages=self._sums["messages"],
            records=self._sums["records"],
            problems=tuple(self._problems),
        )

    def _meta(self) -> Meta:
        state = open_to_read(self._directory.state)
        state.close()
        return state.meta

    def _in_service(self, meta: Meta | None) -> dict[int, Path]:
        """The files that make up the log; those around them are nobody's data."""
        found = self._directory.segments()
        if meta is None:
            return found
        for number in range(meta.first, meta.last + 1):
            if number not in found:
                self._problems.append(f"{self._directory.segment(number)} is missing")
        for number in found:
            if number > meta.last + 1:
                self._problems.append(f"{found[number]} is no part of this store")
        return {one: path for one, path in found.items() if meta.first <= one <= meta.last}

    def _check_file(self, number: int, path: Path, meta: Meta | None) -> None:
        """Number 0 is the state file."""
        if not path.exists():
            self._problems.append(f"{path} is missing")
            return
        found = engine.problems_of(path)
        self._problems += [f"{path}: {problem}" for problem in found]
        if not found:
            self._guarded(lambda: self._check_contents(number, path, meta))

    def _check_contents(self, number: int, path: Path, meta: Meta | None) -> None:
        if number:
            found, self._end = check_segment(path, number, self._block_ok, meta, self._end)
        else:
            end = POSITION_END if self._problems else self._end
            found = check_state(path, self._block_ok, end)
        self._sums.update(found.sums)
        self._problems += [f"{path}: {problem}" for problem in found.problems]

    def _guarded(self, look: Callable[[], Any]) -> Any:
        try:
            return look()
        except Damaged as error:
            self._problems.append(str(error))
        return None
