"""The `layby` command as a process against one broker.

Owns starting it and reading what it says. Must never know what a test is about.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

from loadtests.daemon import command

GOLDEN = Path(__file__).parents[1] / "golden"
PATIENCE_S = 60.0


class Result(NamedTuple):
    status: int
    out: bytes
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.decode().splitlines()

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.err)
        return found


class Layby:
    def __init__(self, url: str) -> None:
        self.url = url
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, *words: str, **more: Any) -> subprocess.Popen[bytes]:
        """Start it without waiting; what is still running at the end of the test is killed."""
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(
            [command("layby"), *words], env=os.environ | {"LAYBY_URL": self.url}, **pipes | more
        )
        self._running.append(process)
        return process

    def run(self, *words: str, data: bytes | None = None) -> Result:
        stdin = subprocess.DEVNULL if data is None else subprocess.PIPE
        return self.finish(self.start(*words, stdin=stdin), data)

    def finish(self, process: subprocess.Popen[bytes], data: bytes | None = None) -> Result:
        out, err = process.communicate(data, timeout=PATIENCE_S)
        return Result(process.returncode, out or b"", (err or b"").decode())

    def json(self, *words: str) -> list[dict[str, Any]]:
        """The records of a command that must succeed."""
        result = self.run("--json", *words)
        assert result.status == 0, result.err
        return result.records

    def close(self) -> None:
        for process in self._running:
            if process.poll() is None:
                process.kill()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe:
                    pipe.close()
            process.wait()


def golden(verb: str) -> list[Any]:
    found: list[Any] = json.loads((GOLDEN / f"{verb}.json").read_text())
    return found


def names(keys: list[Any]) -> set[str]:
    """The outer names of a golden file."""
    return {name for key in keys for name in (key if isinstance(key, dict) else [key])}
