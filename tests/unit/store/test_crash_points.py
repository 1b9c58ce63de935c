"""The process ends before the nth step that changes a file, for every n: what is found then?"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

import pytest

from laybyd.store import spares
from laybyd.store.directory import Directory
from laybyd.store.segment import Segment
from laybyd.store.spares import Spares
from laybyd.store.statedb import StateDb
from tests.unit.store.stores import Disk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


LAST = 30


class Dead(OSError):
    """From here on the process does nothing any more."""


class Reaper:
    """Lets so many steps happen; then none."""

    def __init__(self, steps: int) -> None:
        self.left = steps
        self._lock = threading.Lock()

    def step(self, what: Callable[..., Any]) -> Callable[..., Any]:
        def reaped(*args: object, **more: object) -> object:
            with self._lock:
                self.left -= 1
                if self.left < 0:
                    raise Dead
            return what(*args, **more)

        return reaped


def reap(patch: pytest.MonkeyPatch, steps: int) -> Reaper:
    reaper = Reaper(steps)
    patch.setattr(Directory, "rename", reaper.step(Directory.rename))
    patch.setattr(StateDb, "_apply", reaper.step(StateDb._apply))
    patch.setattr(Segment, "write", reaper.step(Segment.write))
    patch.setattr(Spares, "_wipe", reaper.step(Spares._wipe))
    patch.setattr(Spares, "_remove", reaper.step(Spares._remove))
    patch.setattr(spares.segment, "prepare", reaper.step(spares.segment.prepare))
    return reaper


def work(disk: Disk, confirmed: list[int]) -> None:
    """Push over four segments, trimming behind; note what was confirmed."""
    for seq in range(confirmed[-1] + 1, LAST + 1):
        assert disk.push(seq) == seq
        confirmed[-1] = seq
        disk.trim(seq - 12)
        disk.store._spares.settle()


@pytest.mark.slow
def test_every_end_leaves_a_store_that_opens(tmp_path: Path) -> None:
    for steps in range(1_000):
        disk = Disk(tmp_path / f"store-{steps}")
        confirmed = [0]
        with pytest.MonkeyPatch.context() as patch:
            reaper = reap(patch, steps)
            with contextlib.suppress(Dead):
                work(disk, confirmed)
            disk.close()
        finished = reaper.left >= 0
        disk.open()
        seqs = disk.seqs()
        assert seqs == list(range(seqs[0], seqs[-1] + 1)) if seqs else not confirmed[0]
        end = disk.store.facts().end
        assert end - 1 - confirmed[0] in (0, 1), "at most the step under way is there as well"
        assert disk.store.facts().start <= max(1, confirmed[0] - 12)
        if confirmed[0]:
            (producer,) = disk.store.producers()
            assert [row[0] for row in producer.recent] == list(range(1, end))
        confirmed[0] = end - 1
        work(disk, confirmed)
        disk.reopen()
        assert disk.seqs()[-1] == LAST
        disk.close()
        if finished:
            break
    assert 50 < steps < 999
