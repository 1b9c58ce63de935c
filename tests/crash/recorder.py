"""One recording: a new store, or one that a crash has left, driven for a while.

Owns the order of a recording's chapters. Must never judge anything but whether it saw every write:
the disk as modelled has to be, byte for byte, the disk as it is.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, NamedTuple

from tests.crash import images, recording
from tests.crash.broker import Broker
from tests.crash.disk import Disk
from tests.crash.recording import Marks
from tests.crash.shim import Orders
from tests.crash.workload import Workload

if TYPE_CHECKING:
    from pathlib import Path

    from tests.crash.knowledge import Knowledge
    from tests.crash.recording import Record

FLUSH_US = 2_000
ROUNDS = 14
BOOTS = 2


class Recording(NamedTuple):
    """`disk` and `known` are as before the first record; `root` is where the store lay, and still
    lies as the last record left it (`whole`)."""

    root: Path
    store: Path
    disk: Disk
    known: Knowledge
    records: list[Record]
    whole: bool = True


def record(home: Path, seed: str, known: Knowledge, start: Path | None = None) -> Recording:
    """Drive a store below `home` (in `start`, where a crash left it); two boots of it."""
    root = home / "root" if start is None else start
    root.mkdir(exist_ok=True)
    store = root / "some" / "where" / "store"
    disk = Disk()
    disk.place(root)
    log = home / f"{seed}.log"
    marks = Marks(log)
    broker = Broker(home, store, Orders(root, log, FLUSH_US))
    workload = Workload(broker, marks.put, Random(seed), seed)
    for _ in range(BOOTS):
        _boot(broker, workload)
    marks.close()
    return Recording(root, store, disk, known, list(recording.read(log)))


def _boot(broker: Broker, workload: Workload) -> None:
    broker.start()
    try:
        workload.begin()
        for _ in range(ROUNDS):
            workload.round()
        code = broker.stop()
        assert code == 0, f"the daemon ended with {code}: {broker.log_path.read_text()}"
    finally:
        broker.kill()


def unseen(made: Recording) -> list[str]:
    """Files that are not as the records say: the recorder has missed something. Replays all."""
    for one in made.records:
        made.disk.take(one)
    whole = images.everything(made.disk)
    expected = {name: file and whole.contents[file] for name, file in whole.names.items()}
    now = Disk()
    now.place(made.root)
    found = {name: file and file.base for name, file in now.names.items()}
    names = expected.keys() | found.keys()
    return [name for name in names if expected.get(name, 0) != found.get(name, 0)]
