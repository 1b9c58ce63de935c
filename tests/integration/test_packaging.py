"""What is installed: one wheel that holds everything, and a light half that works alone."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
WITHOUT_SERVER = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"lmdb", "uvloop", "yaml", "pydantic", "rich"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
"""

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def python(code: str, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_SERVER + code, *args],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_wheel_holds_what_runs_and_what_is_read(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=TOP, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    tops = {name.partition("/")[0] for name in names}
    assert {name for name in tops if ".d" not in name} == {"laybyd", "layby"}
    for wanted in ("layby/py.typed", "layby/codes.json", "laybyd/daemon.py"):
        assert wanted in names
    shared = {name.partition(".data/data/")[2] for name in names}
    assert {"share/layby/layby.yaml", "share/layby/systemd/layby.service"} <= shared


@pytest.mark.parametrize("module", ["layby", "layby.aio", "layby.testing", "layby.cli.app"])
def test_the_client_needs_nothing_of_the_server(module):
    done = python(f"import {module}")
    assert done.returncode == 0, done.stderr


def test_the_command_works_without_the_server():
    done = python("from layby.cli.app import main; main()", "--help")
    assert done.returncode == 0, done.stderr
    assert "consume" in done.stdout


@pytest.mark.parametrize(
    "code",
    ["from laybyd.cli import main; main()", "import layby.testing as t; t.Broker().__enter__()"],
)
def test_what_needs_the_server_says_how_to_get_it(code):
    done = python(code)
    assert done.returncode != 0
    assert "pip install 'layby[server]'" in done.stderr
