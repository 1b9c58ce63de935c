"""Simulated people, in a process of their own: locust makes the standard library cooperative."""

import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).parents[3]
PATIENCE_S = 60

WHO_DIES = """
from types import SimpleNamespace
from loadtests.users import Mortal

dying = object.__new__(Mortal)
dying.world = SimpleNamespace(killed=lambda who: None)
dying.tape = SimpleNamespace(client="mortal")
dying.peer = SimpleNamespace(close=lambda: None)
dying.connected = lambda: None
dying._begin()
session, dying._done = dying._session, [("a delivery", "ack")]
dying.depart()
assert not dying._done, "his outcomes are told after his death"
assert dying._session != session, "he goes on in the session that died"
"""


def test_who_dies_takes_his_outcomes_and_his_session_along():
    command = [sys.executable, "-c", WHO_DIES]
    ended = subprocess.run(
        command, cwd=TOP, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert ended.returncode == 0, ended.stderr
