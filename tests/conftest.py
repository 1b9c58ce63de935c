"""What every test may ask for: a real daemon, and logging left as it was."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from loadtests.daemon import DaemonProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    """A laybyd process on a new store and a free port of loopback; gone after the test."""
    with DaemonProcess(tmp_path / "daemon") as running:
        yield running


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    """For tests that set up the process's logging."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
