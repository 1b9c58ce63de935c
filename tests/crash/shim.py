"""The shim between the daemon and its files: compiled when it is first needed, and its orders.

Owns the compiler's call and the environment that the shim reads. Must never know what a record or
a failed call means.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest

HERE = Path(__file__).parent
SOURCE = HERE / "shim.c"
LOCK = HERE / "ziglang.lock"
FLAGS = ("-shared", "-fPIC", "-O2", "-Wall", "-Wno-deprecated-non-prototype")


class NoCompiler(Exception):
    """The shim cannot be built here; says what is missing."""


class Orders(NamedTuple):
    """What a shim is to do. `fault` is class, nth, errno, times; `flush_us` slows every flush."""

    root: Path
    log: Path | None = None
    flush_us: int = 0
    fault: tuple[str, int, int, int] | None = None
    counts: Path | None = None

    def environment(self) -> dict[str, str]:
        told = {
            "LAYBY_SHIM_ROOT": str(self.root),
            "LAYBY_SHIM_LOG": str(self.log or ""),
            "LAYBY_SHIM_FLUSH": str(self.flush_us),
            "LAYBY_SHIM_FAULT": ":".join(map(str, self.fault or ())),
            "LAYBY_SHIM_COUNTS": str(self.counts or ""),
        }
        return {name: value for name, value in told.items() if value}


def preloaded() -> dict[str, str]:
    """The environment in which a process starts with the shim. Raises NoCompiler."""
    return {"LD_PRELOAD": str(built())}


def needed() -> None:
    """For tests: where it cannot be built nothing is proved, a failure where changes are judged
    and elsewhere a skip that says so."""
    try:
        built()
    except NoCompiler as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


def start(orders: Orders) -> None:
    """In a process that was started with the shim: from here on it does what it is told."""
    os.environ.update(orders.environment())
    ctypes.CDLL(None).shim_start()


def built() -> Path:
    """The library, from the cache of this environment or made for it. Raises NoCompiler."""
    key = hashlib.sha256(SOURCE.read_bytes() + repr(FLAGS).encode()).hexdigest()[:16]
    path = Path(sys.prefix) / "cache" / f"shim-{key}.so"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as made:
            library = Path(made) / path.name
            _run([*_compiler(path.parent), *FLAGS, "-o", str(library), str(SOURCE), "-ldl"])
            library.rename(path)
    return path


def _compiler(cache: Path) -> list[str]:
    """The machine's own, or else one from the package index, pinned by hash."""
    if cc := shutil.which("cc"):
        return [cc]
    zig = cache / "ziglang"
    if not zig.exists():
        pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        wanted = ["--require-hashes", "--only-binary", ":all:", "--no-deps", "-r", str(LOCK)]
        made = tempfile.mkdtemp(dir=cache)
        _run([*pip, *wanted, "--target", made])
        Path(made).rename(zig)
    settings = [f"PYTHONPATH={zig}", f"ZIG_GLOBAL_CACHE_DIR={cache / 'zig'}"]
    return ["env", *settings, sys.executable, "-m", "ziglang", "cc"]


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoCompiler(f"no shim: {' '.join(command[:4])} ... said: {done.stderr.strip()[-500:]}")
