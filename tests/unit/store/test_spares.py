"""Files out of service, while the log and their own thread both want them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from laybyd.store.directory import Directory
from laybyd.store.spares import Spares

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_that_was_taken_is_not_made_again(tmp_path: Path) -> None:
    """The log needs the next file before the thread, busy with another, has made it."""
    begun, go_on = threading.Event(), threading.Event()

    def chore() -> None:
        begun.set()
        assert go_on.wait(60)

    spares = Spares(Directory(tmp_path), bytes(16), 1, 1 << 20, lambda: 0)
    spares.want(7)
    spares.later(chore)
    spares.start()
    assert begun.wait(60)
    taken = spares.take(7)
    before = taken.stat()
    go_on.set()
    spares.settle()
    assert spares.files == 0
    assert (taken.stat().st_ino, taken.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    spares.want(8)
    spares.settle()
    assert spares.take(8) != taken
    spares.stop()
