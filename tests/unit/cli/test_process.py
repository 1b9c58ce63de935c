from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from layby.cli import process
from layby.cli.process import Ended, Process


def run(*command: str, data: bytes = b"", timeout: float | None = None) -> Ended:
    return Process(command, dict(os.environb), data).finish(timeout)


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_it_reads_its_message_on_stdin(tmp_path: Path) -> None:
    target = tmp_path / "got"
    data = os.urandom(300_000)
    assert run("sh", "-c", f"cat > {target}", data=data) == Ended(0, "")
    assert target.read_bytes() == data


def test_it_may_leave_its_message_unread() -> None:
    assert run("true", data=b"x" * 1_000_000).status == 0


def test_exit_code_and_last_line() -> None:
    ended = run("sh", "-c", "echo first >&2; echo ' last ' >&2; echo >&2; exit 3")
    assert ended == Ended(3, "last")


def test_stderr_is_passed_on(capfd: pytest.CaptureFixture[str]) -> None:
    run("sh", "-c", "echo out; echo err >&2")
    assert capfd.readouterr() == ("out\n", "err\n")


def test_a_flood_on_stderr_is_bounded(capfd: pytest.CaptureFixture[str]) -> None:
    ended = run("sh", "-c", "yes flood | head -c 999996 >&2; echo end >&2; exit 1")
    assert ended == Ended(1, "end")
    assert len(capfd.readouterr().err) == 1_000_000


def test_death_by_signal() -> None:
    assert run("sh", "-c", "kill -9 $$").status == -signal.SIGKILL


def test_a_missing_command_raises() -> None:
    with pytest.raises(FileNotFoundError):
        run("/no/such/command")


def test_it_has_a_session_of_its_own() -> None:
    assert run(*python("import os; raise SystemExit(os.getsid(0) != os.getpid())")).status == 0


def test_overdue_is_killed_with_all_it_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "KILL_AFTER", 0.05)
    ignore = "trap '' TERM; echo started >&2; while :; do sleep 60; done"
    ended = run("sh", "-c", ignore, timeout=0.3)
    assert ended.timed_out
    assert ended.status in (-signal.SIGTERM, -signal.SIGKILL)


def test_a_grandchild_with_our_stderr_does_not_hold_us_up(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    ended = run("sh", "-c", f"sleep 60 & echo $! > {pid}; echo bye >&2")
    assert ended == Ended(0, "bye")
    os.kill(int(pid.read_text()), signal.SIGKILL)


def test_stopping_says_so() -> None:
    child = Process(("sleep", "60"), dict(os.environb), b"")
    stopper = threading.Thread(target=child.stop, args=(signal.SIGTERM,))
    stopper.start()
    ended = child.finish(None)
    stopper.join()
    assert ended.stopped
    assert ended.status == -signal.SIGTERM


def test_a_signal_after_the_end_hits_nobody() -> None:
    child = Process(("true",), dict(os.environb), b"")
    child.finish(None)
    child.stop(signal.SIGKILL)
