"""A bug of ours, provoked in a real daemon: it stops at once, says so, and the store is whole."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from laybyd.errors import Exit
from tests.integration.daemon_process import Peers

if TYPE_CHECKING:
    from tests.integration.conftest import MakeDaemon

pytestmark = [pytest.mark.integration, pytest.mark.slow]

BROKEN = {
    "the rules": "from laybyd.core.broker import Broker as owner; name = 'step'",
    "the front-end": "from laybyd.frontend.frontend import FrontEnd as owner; name = '_take'",
    "the state thread": "from laybyd.store import records as owner; name = 'encode'",
}
WRAPPER = """
import sys
{where}

def broken(*args):
    raise KeyError("planted")

setattr(owner, name, broken)
sys.argv[0] = "laybyd"
from laybyd.cli import main
main()
"""


@pytest.mark.parametrize("where", BROKEN.values(), ids=BROKEN.keys())
def test_it_ends_with_its_own_code_and_loses_nothing(make_daemon: MakeDaemon, where: str) -> None:
    daemon = make_daemon()
    daemon.start()
    peers = Peers(daemon.url)
    peers.peer().ask("push", topic="t", data=b"kept")
    peers.close()
    assert daemon.stop() == 0

    command = [sys.executable, "-c", WRAPPER.format(where=where)]
    options = ["--data", str(daemon.store), "--listen", daemon.url]
    with subprocess.Popen([*command, *options], stderr=subprocess.PIPE) as process:
        peers = Peers(daemon.url)
        peer = peers.peer()
        poll = {"group": "g", "topics": ["t"], "messages": 1, "bytes": 100, "wait_ms": 0}
        peer.send("poll", **poll)
        peer.send("goodbye", group="g", session=b"s")
        said = process.communicate(timeout=60)[1].decode()
        peers.close()
    assert process.returncode == Exit.BUG, said
    [line] = [line for line in said.splitlines() if "broke a rule of its own" in line]
    assert "start it again, and please report this" in line
    assert "planted" in line

    daemon.start()
    peers = Peers(daemon.url)
    answer = peers.peer().ask("read", topics=["t"], limit=10, **{"from": 1})
    assert [block["ranges"] for block in answer["blocks"]] == [[1, 1]]
    peers.close()
