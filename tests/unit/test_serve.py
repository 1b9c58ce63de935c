"""What ends the process when no thread of ours can say so."""

import subprocess
import sys

PATIENCE_S = 30

STILLBORN = """
import sys, threading
from laybyd import serve

sys.unraisablehook = serve.note_unraisable

class Stillborn(threading.Thread):
    def _bootstrap_inner(self):
        raise MemoryError

Stillborn().start()
"""

UNRELATED = """
import sys
from laybyd import serve

sys.unraisablehook = serve.note_unraisable

class Clumsy:
    def __del__(self):
        raise MemoryError

Clumsy()
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)


def test_a_thread_that_dies_before_it_begins_ends_the_daemon():
    ended = run(STILLBORN)
    assert ended.returncode == 70
    assert "a thread ended before it began" in ended.stderr


def test_what_a_destructor_raises_does_not():
    ended = run(UNRELATED)
    assert (ended.returncode, "MemoryError" in ended.stderr) == (0, True)
