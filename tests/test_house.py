"""The house rules hold everywhere, and each of them bites."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import laybyd
from laybyd.config import Config
from laybyd.config.explain import _names
from laybyd.core.settings import CoreSettings, GroupSettings
from tests import house

TOP = Path(__file__).parents[1]
FOLDERS = ("daemon", "clients", "tests", "loadtests")
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text())


def sources(*folders: str) -> dict[str, str]:
    found = (path for folder in folders for path in sorted((TOP / folder).rglob("*.py")))
    return {str(path.relative_to(TOP)): path.read_text() for path in found}


# ---- the rules


def test_the_house_is_in_order():
    breaches = [
        one for path, text in sources(*FOLDERS).items() for one in house.breaches(path, text)
    ]
    assert not breaches, "\n".join(breaches)


GOOD = '"""It.\n\nOwns this. Must\nnever know that.\n"""\n'
LONG = "def f():\n" + "    x = 1\n" * 40


@pytest.mark.parametrize(
    ("path", "text", "breach"),
    [
        ("tests/test_x.py", "x = 1\n" * 401, "401 lines; give each noun a file of its own"),
        ("tests/test_x.py", LONG, "x.py:1: f has 41 lines"),
        ("tests/test_x.py", "class A:\n    async " + LONG.replace("\n", "\n    "), ":2: f has"),
        ("daemon/laybyd/x.py", '"""Must never know."""\n', "open with what the module owns"),
        ("clients/python/layby/x.py", '"""Owns it."""\n' + "x = 1\n" * 80, "must never know"),
        ("daemon/laybyd/x.py", GOOD + "# TO" + "DO later\n", ":6: 'TO" + "DO': finish it"),
        ("loadtests/x.py", "raise NotImplemented" + "Error\n", "or build it"),
        ("tests/x.py", "x = pytest.mark.sk" + "ip\n", "mend the test"),
        ("tests/x.py", "x = y  # type: " + "ignore\n", "name the error"),
        ("tests/x.py", "open('/ro" + "ot/x')\n", "no path of one machine"),
        ("tests/x.py", "import time\ntime.sleep(1)\n", ":2: a test sleeps"),
        ("clients/python/tests/x.py", "await asyncio.sl" + "eep(0.1)\n", "a test sleeps"),
        ("daemon/laybyd/x.py", GOOD + "from queue import Empty, SimpleQueue\n", "may oversleep"),
        ("daemon/laybyd/core/x.py", GOOD + "import threading\n", "the core imports threading"),
        ("daemon/laybyd/core/x.py", GOOD + "import laybyd.clock\n", "imports laybyd.clock;"),
        ("daemon/laybyd/core/x.py", GOOD + "from laybyd import clock\n", "imports laybyd.clock;"),
        ("daemon/laybyd/core/x.py", GOOD + "from laybyd.store import x\n", "laybyd.store"),
    ],
)
def test_a_planted_breach_is_found(path, text, breach):
    text = text.replace("await ", "async def f():\n    await ") if "await" in text else text
    found = house.breaches(path, text)
    assert len(found) == 1, found
    assert breach in found[0]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("daemon/laybyd/core/x.py", GOOD + "import heapq\nfrom laybyd.core.types import Row\n"),
        ("daemon/laybyd/x.py", GOOD + LONG.replace("    x = 1\n", "", 1)),
        ("daemon/laybyd/__init__.py", '"""The broker."""\n'),
        ("loadtests/x.py", "import time\ntime.sleep(1)\n"),
        ("tests/x.py", "async def f():\n    await asyncio.sleep(0)\n"),
        ("tests/x.py", "x = y  # type: ignore[assignment]\npath = 'http://host/wo" + "rk/x'\n"),
    ],
)
def test_what_is_right_is_left_alone(path, text):
    assert house.breaches(path, text) == []


# ---- one truth each


def test_unit_tests_mirror_the_packages():
    packages = {
        path.parent.name
        for root in ("daemon", "clients/python", "loadtests")
        for path in (TOP / root).rglob("*.py")
    }
    folders = {path.parent.name for path in (TOP / "tests/unit").rglob("test_*.py")}
    strays = folders - packages - {"unit", "client"}
    assert not strays, f"tests/unit/{strays}: name the folder after the package it tests"


def test_every_setting_does_something():
    files = sources("daemon/laybyd")
    readers = "\n".join(text for path, text in files.items() if "relations" not in path)
    names = [name for name in _names(Config) if "." in name]
    idle = [name for name in names if not re.search(rf"\b{re.escape(name)}\b", readers)]
    assert not idle, f"{idle}: nothing reads them; use them or take them out"


def test_every_bound_of_the_core_is_obeyed():
    files = sources("daemon/laybyd")
    readers = "\n".join(
        text for path, text in files.items() if not path.endswith(("settings.py", "model.py"))
    )
    fields = (*CoreSettings._fields, *GroupSettings._fields)
    idle = [name for name in fields if not re.search(rf"\.{name}\b", readers)]
    assert not idle, f"{idle}: nothing reads them; obey them or take them out"


def test_the_version_is_said_alike_everywhere():
    version = PROJECT["project"]["version"]
    assert laybyd.__version__ == version
    changes = re.search(r"^## (\d+\.\d+\.\d+)", (TOP / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert changes is not None
    assert changes[1] == version


def test_every_requirement_is_locked_with_hashes_and_no_registry():
    lock = (TOP / "requirements.lock").read_text()
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = [
        *PROJECT["project"]["dependencies"],
        *(one for extra in extras.values() for one in extra),
    ]
    names = {re.split(r"[\[><=~ ]", one)[0].lower() for one in wanted} - {"layby"}
    locked = set(re.findall(r"^([a-z0-9._-]+)==", lock, re.MULTILINE))
    assert names <= locked, f"{names - locked}: run make lock"
    assert len(locked) == len(re.findall(r"^[a-z].*\\\n +--hash", lock, re.MULTILINE))
    assert "://" not in lock


def test_make_tells_its_targets():
    text = (TOP / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert phony is not None
    told = set(re.findall(r'@echo "make (\w+)', text))
    parts = {"help", "lint", "types", "unit", "proof", "integration"}
    assert told == set(phony[1].split()) - parts
    assert set(phony[1].split()) <= set(re.findall(r"^(\w+):", text, re.MULTILINE))
