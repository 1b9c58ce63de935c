"""The unit: understood by systemd, hardened, and in step with the daemon's exit codes and times."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import layby
from laybyd.config import Config
from laybyd.errors import Exit

SYSTEMD = Path(__file__).parents[1] / "systemd"
UNIT = SYSTEMD / "layby.service"
EXPOSURE_TENTHS = 15
QUIETLY: dict[str, Any] = {"capture_output": True, "check": False}


@pytest.fixture
def analyze():
    """Runs systemd-analyze and returns what it did."""
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("systemd-analyze is not here, so the unit stays unchecked: apt install systemd")
    return lambda *args: subprocess.run([tool, *args], text=True, **QUIETLY)


def service() -> configparser.SectionProxy:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT)
    return parser["Service"]


def test_systemd_understands_the_unit(analyze, tmp_path):
    text = UNIT.read_text().replace("/usr/bin/laybyd", "/bin/true")
    (tmp_path / UNIT.name).write_text(text)
    done = analyze("verify", "--man=no", str(tmp_path / UNIT.name))
    assert (done.returncode, done.stderr) == (0, "")


def test_systemd_would_tell_an_unknown_key(analyze, tmp_path):
    text = UNIT.read_text().replace("/usr/bin/laybyd", "/bin/true")
    (tmp_path / UNIT.name).write_text(text.replace("UMask", "YouMask"))
    assert "YouMask" in analyze("verify", "--man=no", str(tmp_path / UNIT.name)).stderr


def test_the_unit_exposes_little(analyze):
    done = analyze("security", "--offline=true", f"--threshold={EXPOSURE_TENTHS}", str(UNIT))
    assert done.returncode == 0, done.stdout.splitlines()[-1]


def test_what_a_restart_cannot_mend_is_not_restarted():
    codes = set(map(int, service()["RestartPreventExitStatus"].split()))
    assert codes == {Exit.DAMAGED, Exit.NO_RIGHT, Exit.CONFIG}


def test_a_stop_has_time_for_quiesce():
    assert int(service()["TimeoutStopSec"]) * 1_000_000 > Config().broker.quiesce


def test_what_laybyd_cannot_bound_the_unit_does():
    """libzmq takes in a message of endlessly many frames before anybody can refuse it."""
    high, most = (int(service()[key].removesuffix("G")) for key in ("MemoryHigh", "MemoryMax"))
    assert 1 < high < most


def test_the_unit_and_its_user_agree_on_names_and_places():
    unit = service()
    (line,) = [
        line for line in (SYSTEMD / "layby.sysusers").read_text().splitlines() if line[0] != "#"
    ]
    assert line.split()[:2] == ["u", unit["User"]]
    assert line.split()[-1] == f"/var/lib/{unit['StateDirectory']}"
    assert f"--data /var/lib/{unit['StateDirectory']}" in unit["ExecStart"]
    assert "/etc/layby/layby.yaml" in unit["ExecStart"]
    assert "d /etc/layby " in (SYSTEMD / "layby.tmpfiles").read_text()


def allowed_calls(analyze) -> set[str]:
    """What SystemCallFilter leaves, line by line, its sets taken apart."""

    def calls(name: str) -> set[str]:
        if not name.startswith("@"):
            return {name}
        lines = analyze("syscall-filter", name).stdout.splitlines()[1:]
        names = {line.strip() for line in lines if line.strip() and "#" not in line}
        return set().union(*(calls(one) for one in names))

    left: set[str] = set()
    for words in re.findall(r"^SystemCallFilter=(.*)$", UNIT.read_text(), re.MULTILINE):
        listed = set().union(*(calls(name) for name in words.removeprefix("~").split()))
        left = left - listed if words.startswith("~") else left | listed
    return left


@pytest.mark.integration
@pytest.mark.slow
def test_the_daemon_lives_with_the_system_calls_it_is_left(analyze, tmp_path):
    """A library that aborts over a refused call is found here, not on somebody's server."""
    trial = ["strace", "-o", "/dev/null", "true"]
    if not shutil.which("strace") or subprocess.run(trial, **QUIETLY).returncode:
        pytest.skip("strace cannot trace here, so the filter stays untried: apt install strace")
    refused = "!" + ",".join(f"?{name}" for name in sorted(allowed_calls(analyze)))
    under = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", f"inject={refused}:error=EPERM"]
    endpoint = f"ipc://{tmp_path}/layby.sock"
    serve = [
        sys.executable,
        "-m",
        "laybyd",
        "--data",
        str(tmp_path / "store"),
        "--listen",
        endpoint,
    ]
    with subprocess.Popen([*under, *serve], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        ready = process.stderr.readline()
        if endpoint in ready:
            with layby.connect(endpoint) as client:
                client.push("app", b"on the disk, under the filter")
        process.terminate()
        rest = process.stderr.read()
    assert endpoint in ready, ready + rest
    assert process.returncode == 0, rest
