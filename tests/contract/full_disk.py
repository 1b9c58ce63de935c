"""Fills the disk it is given, and says what still worked. Run where the disk is small."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from laybyd.store.base import Full, NewBlock
from laybyd.store.lmdb_store import LmdbStore

BODY = bytes(60_000)


def pushed(store: LmdbStore, fence: object, most: int = 10_000) -> int:
    """How many blocks the log takes, up to `most`."""
    for taken in range(most):
        try:
            store.append(fence, [NewBlock("app", 1, BODY)], 1)
        except Full:
            return taken
    return most


def readable(store: LmdbStore) -> int:
    facts = store.facts()
    for position in range(facts.start, facts.end):
        assert store.read(position)[1] == BODY
    return facts.end - facts.start


def main(path: str) -> None:
    store = LmdbStore(Path(path), max_bytes=1 << 30, segment_bytes=1 << 20)
    fence = store.acquire()
    found: dict[str, object] = {"taken": pushed(store, fence)}
    found["log_full"] = store.room().log_full
    found["again"] = pushed(store, fence)
    found["readable"] = readable(store)
    for number in range(500):
        store.commit_state(fence, [(b"settled-%d" % number, bytes(500))])
    found["state_full"] = store.room().state_full
    store.trim(fence, store.facts().end - 10)
    store._spares.settle()
    found["after_trim"] = pushed(store, fence, 20)
    store.close()
    store.acquire()
    found["settled"] = len(store.read_state(b"settled", b"settlee", 1_000))
    found["end"] = store.facts().end
    readable(store)
    store.close()
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
