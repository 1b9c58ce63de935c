"""A real file system without a free block: pushes are refused, all that frees goes on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.contract import full_disk

if TYPE_CHECKING:
    from pathlib import Path

MOUNT = 'mount -t tmpfs -o size=24m layby-test "$1" && shift && exec "$@"'


def in_a_small_place(path: Path, *command: str) -> subprocess.CompletedProcess:
    """The command with a small file system of its own at the path, seen by nobody else."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    inside = ["unshare", "--map-root-user", "--mount", "sh", "-c", MOUNT, "sh", str(path)]
    return subprocess.run([*inside, *command], env=env, capture_output=True, check=False)


def test_settling_and_trimming_go_on_when_the_disk_is_full(tmp_path: Path) -> None:
    if not shutil.which("unshare") or in_a_small_place(tmp_path, "true").returncode:
        pytest.skip("this machine lets nobody mount a small file system of his own")
    script = full_disk.__file__
    done = in_a_small_place(tmp_path, sys.executable, script, str(tmp_path / "store"))
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout)
    assert 200 < found["taken"] < 400
    assert found["again"] == 0
    assert found["log_full"]
    assert found["state_full"]
    assert found["readable"] == found["taken"]
    assert found["after_trim"] == 20
    assert found["settled"] == 500
    assert found["end"] == found["taken"] + 21
