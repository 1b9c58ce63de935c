"""Every Python block of the client's README runs, in order, against a broker."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from layby.testing import Broker

pytestmark = pytest.mark.integration

README = Path(__file__).parents[2] / "clients" / "python" / "README.md"


@pytest.fixture
def signals_as_before():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_the_readme_runs(signals_as_before, capsys):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) >= 8
    with Broker() as broker:
        names: dict[str, object] = {"__name__": "readme"}
        for block in blocks:
            code = block.replace("tcp://127.0.0.1:5577", broker.endpoint)
            exec(compile(code, str(README), "exec"), names)
    said = capsys.readouterr().out
    for words in ("GET /index.html 200", "INSERT 2", "to: somebody", "serving", "hello"):
        assert words in said
