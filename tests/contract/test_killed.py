"""A writer killed with -9 at any instant loses nothing it had confirmed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from laybyd.store.lmdb_store import LmdbStore
from tests.contract import killed_writer

if TYPE_CHECKING:
    from pathlib import Path


def confirmed_until_killed(path: Path, lines: int) -> list[int]:
    """Lets the writer confirm that many steps, kills it, and gives its last word."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, killed_writer.__file__, str(path)], stdout=subprocess.PIPE, env=env
    ) as child:
        assert child.stdout is not None
        for _ in range(lines):
            last = child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read().splitlines(keepends=True)
    whole = [line for line in [last, *rest] if line.endswith(b"\n")]
    return [int(word) for word in whole[-1].split()]


@pytest.mark.slow
def test_what_was_confirmed_outlives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "store"
    for times, lines in enumerate((1, 37, 64, 101, 150), 1):
        seq, first, start = confirmed_until_killed(path, lines)
        store = LmdbStore(path, max_bytes=8 << 20, segment_bytes=1 << 18)
        assert store.acquire().boot == 2 * times
        facts = store.facts()
        (producer,) = store.producers()
        assert producer.last_seq - seq in (0, 1), "one push may be stored and not confirmed"
        assert facts.end == 2 * producer.last_seq + 1
        assert start <= facts.start <= first
        assert [row[:2] for row in producer.recent] == [
            (number, 2 * number - 1) for number in range(1, producer.last_seq + 1)
        ]
        rows, upto = store.rows(facts.start, 10_000)
        assert upto == facts.end
        assert [row.first for row in rows] == list(range(facts.start, facts.end, 2))
        for row in rows:
            number = (row.first + 1) // 2
            _, body = store.read(row.first)
            assert body == bytes((number % 251,)) * (5_000 + number % 40_000)
        ((_, settled),) = store.read_state(b"settled", b"settlee", 1)
        assert first + 1 <= int(settled) < facts.end
        store.close()
