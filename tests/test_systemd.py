"""The unit: understood by systemd, hardened, and in step with the daemon's exit codes and times."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

from laybyd.config import Config
from laybyd.errors import Exit

SYSTEMD = Path(__file__).parents[1] / "systemd"
UNIT = SYSTEMD / "layby.service"
EXPOSURE_TENTHS = 15


@pytest.fixture
def analyze():
    """Runs systemd-analyze and returns what it did."""
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("systemd-analyze is not here, so the unit stays unchecked: apt install systemd")
    return lambda *args: subprocess.run([tool, *args], capture_output=True, text=True, check=False)


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
