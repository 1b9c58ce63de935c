"""`layby work` against a real broker and with real commands."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.layby_command import Layby, golden, names

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.integration.daemon_process import DaemonProcess

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    from tests.integration.daemon_process import DaemonProcess

    with DaemonProcess(tmp_path_factory.mktemp("work")) as daemon:
        yield daemon


@pytest.fixture
def layby(home: DaemonProcess) -> Iterator[Layby]:
    made = Layby(home.url)
    yield made
    made.close()


def start(layby: Layby, topic: str, *words: str) -> subprocess.Popen[bytes]:
    return layby.start("work", topic, "--group", topic, *words)


def outcomes(work: subprocess.Popen[bytes], number: int) -> list[dict[str, Any]]:
    """The first records of a `work --json`."""
    assert work.stdout is not None
    return [json.loads(work.stdout.readline()) for _ in range(number)]


def end(layby: Layby, work: subprocess.Popen[bytes]) -> int:
    work.send_signal(signal.SIGTERM)
    return layby.finish(work).status


SCRIPT = """
read -r word
case $word in
  good) exit 0 ;;
  later) exit 75 ;;
  never) echo unreadable >&2; exit 65 ;;
  killed) kill -9 $$ ;;
  bad) echo trouble >&2; echo "  last line  " >&2; exit 3 ;;
esac
"""


def test_exit_codes_are_outcomes(layby: Layby) -> None:
    layby.run("groups", "create", "codes", "codes", "--set", "backoff=1h")
    for word in ("good", "later", "never", "killed", "bad"):
        layby.run("push", "codes", word)
    work = start(layby, "codes", "--json", "--defer-delay", "1h", "--", "sh", "-c", SCRIPT)
    records = outcomes(work, 5)
    assert [(one["outcome"], one["reason"]) for one in records] == [
        ("ack", ""),
        ("defer", ""),
        ("reject", "unreadable"),
        ("fail", "signal 9"),
        ("fail", "last line"),
    ]
    assert set(records[0]) == names(golden("work"))
    assert end(layby, work) == 0
    deferred = layby.json("deferred", "--group", "codes")
    assert [one["attempts"] for one in deferred] == [0, 1, 1]
    assert [one["history"][-1]["reason"] for one in deferred[1:]] == ["signal 9", "last line"]
    assert len(layby.json("dead", "--group", "codes")) == 1


def test_what_a_run_is_given(layby: Layby) -> None:
    position = layby.run("push", "given", "the data", "--key", "k").out.decode().strip()
    script = 'cat; echo; env | grep "^LAYBY_[TGPKA]" | sort; exec sleep 0'
    work = start(layby, "given", "--", "sh", "-c", script)
    assert work.stdout is not None
    lines = [work.stdout.readline().decode().strip() for _ in range(7)]
    assert lines[0] == "the data"
    assert lines[1:6] == [
        "LAYBY_ATTEMPTS=0",
        "LAYBY_GROUP=given",
        "LAYBY_KEY=k",
        f"LAYBY_POSITION={position}",
        lines[5],
    ]
    assert lines[5].startswith("LAYBY_TIMESTAMP=20")
    assert lines[6] == "LAYBY_TOPIC=given"
    assert end(layby, work) == 0


def test_a_late_run_is_killed_and_fails(layby: Layby) -> None:
    layby.run("push", "late", "x")
    work = start(layby, "late", "--json", "--timeout", "200ms", "--", "sleep", "60")
    record = outcomes(work, 1)[0]
    assert (record["outcome"], record["reason"]) == ("fail", "killed after 200ms")
    assert end(layby, work) == 0


@pytest.mark.parametrize(
    ("command", "status"),
    [(("/no/such/command",), 127), (("/",), 126), (("sh", "-c", "exit 127"), 127)],
)
def test_a_command_that_cannot_run_ends_it(
    layby: Layby, command: tuple[str, ...], status: int
) -> None:
    topic = f"cannot.{status}.{len(command)}"
    layby.run("push", topic, "x")
    result = layby.finish(start(layby, topic, "--", *command))
    assert result.status == status
    assert result.err
    assert layby.run("consume", topic, "--group", topic, "-n", "1").out == b"x\n"


def test_a_signal_waits_for_the_run_under_way(layby: Layby) -> None:
    layby.run("push", "grace", "x")
    layby.run("push", "grace", "y")
    script = "echo begun; read -r word; sleep 0.5; echo ended $word"
    work = start(layby, "grace", "--", "sh", "-c", script)
    assert work.stdout is not None
    assert work.stdout.readline() == b"begun\n"
    work.send_signal(signal.SIGTERM)
    result = layby.finish(work)
    assert (result.status, result.out) == (0, b"ended x\n")
    assert layby.run("consume", "grace", "--group", "grace", "-n", "1").out == b"y\n"


@pytest.mark.parametrize("again", [False, True])
def test_after_the_grace_it_is_killed_and_released(layby: Layby, again: bool) -> None:
    topic = f"kill.{again}"
    layby.run("push", topic, "x")
    grace = "1h" if again else "100ms"
    work = start(layby, topic, "--grace", grace, "--", "sh", "-c", "echo begun; exec sleep 60")
    assert work.stdout is not None
    assert work.stdout.readline() == b"begun\n"
    work.send_signal(signal.SIGTERM)
    if again:
        work.send_signal(signal.SIGINT)
    assert layby.finish(work).status == 0
    record = layby.json("consume", topic, "--group", topic, "-n", "1")[0]
    assert (record["data"], record["attempts"]) == ("x", 0)


def test_jobs_run_side_by_side(layby: Layby, tmp_path: Any) -> None:
    """Each run ends only once the other has begun."""
    layby.run("push", "jobs", "a")
    layby.run("push", "jobs", "b")
    script = (
        f'cd {tmp_path}; read -r word; touch "$word"; '
        'until [ -e a ] && [ -e b ]; do sleep 0.01; done; echo "$word"'
    )
    work = start(layby, "jobs", "--jobs", "2", "--", "sh", "-c", script)
    assert work.stdout is not None
    assert {work.stdout.readline() for _ in range(2)} == {b"a\n", b"b\n"}
    assert end(layby, work) == 0
