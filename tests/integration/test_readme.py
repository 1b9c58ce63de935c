"""The README's own code, run as it stands there against a real daemon."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[2] / "README.md").read_text()
URL = "tcp://127.0.0.1:5577"

pytestmark = pytest.mark.integration


def snippet(*words: str) -> str:
    """The one block of Python that holds all these words."""
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (found,) = [block for block in blocks if all(word in block for word in words)]
    return found


def run(code: str, url: str) -> str:
    assert URL in code
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code.replace(URL, url)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_bare_client_pushes_polls_and_acks(daemon):
    code = snippet("import io, msgpack, struct, zmq")
    assert "layby" not in re.sub(r"layby\.\w+", "", code)
    assert len(code.splitlines()) <= 15
    pushed, polled, settled = run(code, daemon.url).splitlines()
    assert "'ok': True" in pushed
    assert "'first': 1, 'count': 1" in pushed
    assert polled == "app.web [b'GET /index.html 200']"
    assert "'refused': []" in settled


def test_the_python_client_pushes_and_consumes(daemon):
    told = run(snippet("import layby", "client.producer"), daemon.url)
    assert told.splitlines() == [
        "app.web 1 GET /index.html 200",
        "app.web 2 GET /a 200",
        "app.web 3 GET /b 404",
        "app.web 4 GET /c 200",
    ]


def test_a_consumer_leaves_politely_on_a_signal(daemon):
    code = f"""
import layby, os, signal
with layby.connect("{URL}") as client:
    for number in range(10):
        client.push("app.web", b"%d" % number)
    {snippet("signal.signal").replace(chr(10), chr(10) + "    ")}
    with client.consume("app.*", group="polite") as consumer:
        for message in consumer:
            with message:
                os.kill(os.getpid(), signal.SIGTERM)
    print("left after", message.position)
"""
    assert run(code, daemon.url) == "left after 1\n"
