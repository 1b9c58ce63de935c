"""Plants one bug at a time and runs the commit's checks until one of them is red.

Owns what counts as killed: the check is red with the bug, red again when it is run alone, and
green without. Must never know what the bugs are.
"""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.mutants import patch, stages, tree
from tests.mutants.results import Result
from tests.mutants.stages import Stage

AGAIN = 3
"""A check that draws its own luck gets so many goes at being red once more."""

Say = Callable[[str], None]


class Runner:
    """`work` is a scratch directory; the logs of each run go to `logs`."""

    def __init__(self, source: Path, work: Path, logs: Path, say: Say) -> None:
        self._work = work
        self._logs = logs
        self._say = say
        self._commit = tree.commit()
        self._clean = work / "clean" / "tree"
        self._green: dict[str, int] = {}
        self._lock = threading.Lock()
        logs.mkdir(parents=True, exist_ok=True)
        tree.copy(source, self._clean)
        tree.check_imports(self._clean)

    def stages(self, names: Sequence[str]) -> list[Stage]:
        return stages.existing(self._clean, tuple(names))

    def key(self, name: str, run: Sequence[Stage]) -> tuple[object, ...]:
        return name, digest(name), tuple(one.name for one in run), self._commit

    def run(self, name: str, run: Sequence[Stage]) -> Result:
        place = self._work / name
        planted = place / "tree"
        try:
            tree.copy(self._clean, planted)
            patch.load(name).apply(planted)
            tree.check_imports(planted)
            return self._hunt(name, planted, run)
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _hunt(self, name: str, planted: Path, run: Sequence[Stage]) -> Result:
        seconds = 0.0
        doubts: list[str] = []
        for stage in run:
            log = self._logs / f"{name}.{stage.name}.log"
            whole = True
            while whole:
                verdict = stages.run(stage, planted, log, doubts)
                seconds += verdict.seconds
                self._say(f"{name}: {stage.name} {verdict.red or 'green'} ({verdict.seconds} s)")
                if not verdict.red:
                    break
                if verdict.whole and self._believe(verdict.red, planted, log):
                    return self._result(name, run, stage.name, verdict.red, seconds, doubts)
                doubts.append(verdict.red)
                whole = verdict.whole
                self._say(f"{name}: {verdict.red} is not believed; going on without")
        return self._result(name, run, "", "", seconds, doubts)

    def _believe(self, test: str, planted: Path, log: Path) -> bool:
        again = log.with_suffix(".again.log")
        for goes in range(1, AGAIN + 1):
            if stages.run_one(test, planted, again).red == test:
                return self._is_green(test, 1 if goes == 1 else AGAIN)
        return False

    def _is_green(self, test: str, times: int) -> bool:
        """Without any bug; so many times where the bug does not always show. Asked once for each
        check, by one at a time."""
        with self._lock:
            log = self._logs / "clean.log"
            while self._green.get(test, 0) < times:
                if stages.run_one(test, self._clean, log).red:
                    return False
                self._green[test] = self._green.get(test, 0) + 1
            return True

    def _result(
        self,
        name: str,
        run: Sequence[Stage],
        stage: str,
        killed_by: str,
        seconds: float,
        doubts: Sequence[str],
    ) -> Result:
        return Result(
            mutant=name,
            patch=digest(name),
            stages=tuple(one.name for one in run),
            stage=stage,
            killed_by=killed_by,
            seconds=round(seconds, 1),
            commit=self._commit,
            date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
            doubts=tuple(doubts),
        )


def digest(name: str) -> str:
    text = (patch.PATCHES / f"{name}.patch").read_bytes()
    return hashlib.sha256(text).hexdigest()[:12]
