"""The bare client in Go: its own tests, and a push, a poll and an ack against a real daemon."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "clients" / "go"
OFFLINE = ("dial tcp", "no such host", "i/o timeout", "connection refused", "disabled by GOPROXY")

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]


def go(*command: str) -> subprocess.CompletedProcess[str]:
    """Runs in the client's folder; skips where Go or its modules cannot be had."""
    found = shutil.which("go")
    if found is None:
        pytest.skip("NOT TESTED: the Go client needs `go` in the PATH (apt install golang-go)")
    done = subprocess.run(
        [found, *command],
        cwd=SOURCE,
        env=os.environ | {"GOFLAGS": "-mod=readonly", "CGO_ENABLED": "0"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode and any(sign in done.stderr for sign in OFFLINE):
        pytest.skip(f"NOT TESTED: the Go client's modules cannot be fetched: {done.stderr[-300:]}")
    return done


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    binary = tmp_path_factory.mktemp("go") / "bare"
    done = go("build", "-o", str(binary), ".")
    assert done.returncode == 0, done.stderr
    return binary


def test_it_passes_its_own_tests():
    for command in (("vet", "./..."), ("test", "./...")):
        done = go(*command)
        assert done.returncode == 0, done.stdout + done.stderr


def test_it_pushes_polls_and_acks(client, daemon):
    for first in (1, 2):
        done = subprocess.run(
            [client, daemon.url, "app.web", "bare-go", f"GET /{first}"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == [
            f"pushed 1 message at {first}",
            f"app.web GET /{first}",
            f"acked [{first} {first}], 0 refused",
        ]


def test_it_says_what_the_broker_refused(client, daemon):
    done = subprocess.run(
        [client, daemon.url, "no such name", "g", "x"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("bad_name: topic: ")
