from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
from typing import Any

import pytest

from layby.cli import trouble


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """How the next child ends; what it was asked."""
    ends: dict[str, Any] = {"status": 0, "out": b"{}", "asked": []}

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
        ends["asked"] = command[1:]
        return subprocess.CompletedProcess(command, ends["status"], ends["out"])

    monkeypatch.setattr(subprocess, "run", run)
    return ends


CHECKED = {"files": 2, "bytes": 2_048, "blocks": 1, "messages": 1, "records": 0, "problems": []}


def test_what_the_child_found(run: Any, child: dict[str, Any], golden: Any) -> None:
    child["out"] = json.dumps(CHECKED).encode()
    golden("store-check", run("store", "check", "dir", "--json").records[0])
    assert child["asked"] == ["-m", "laybyd.storecli", "check", "dir", "--quiet"]
    assert "2.0 KiB" in run("store", "check", "dir").out
    assert "--quiet" not in child["asked"]


def test_damage(run: Any, child: dict[str, Any]) -> None:
    found = {**CHECKED, "problems": ["page 1\x1b is bad", "page 2"]}
    answer = {"code": "damaged", "text": "the store is damaged", "found": found}
    child.update(status=65, out=json.dumps(answer).encode())
    result = run("store", "check", "dir")
    assert result.status == trouble.REFUSED
    assert result.out.splitlines()[-2:] == ["page 1\\x1b is bad", "page 2"]
    assert "restore" in result.err


def test_in_use_may_be_tried_again(run: Any, child: dict[str, Any]) -> None:
    answer = {"code": "in_use", "text": "in use", "found": None}
    child.update(status=75, out=json.dumps(answer).encode())
    result = run("store", "backup", "a", "b", "--json")
    assert (result.status, result.out) == (trouble.TRY_LATER, "")
    assert result.error["retryable"] is True


@pytest.mark.parametrize("status", [1, -signal.SIGBUS])
def test_a_child_that_dies(run: Any, child: dict[str, Any], status: int) -> None:
    child.update(status=status, out=b"")
    result = run("store", "restore", "a", "b", "--json")
    assert (result.status, result.error["code"]) == (trouble.REFUSED, "failed")


def test_without_the_servers_packages(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "lmdb" else found(name)
    )
    result = run("store", "check", "dir")
    assert result.status == trouble.REFUSED
    assert "pip install 'layby[server]'" in result.err
