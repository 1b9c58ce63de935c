"""Pushes, settles and trims until it is killed; every confirmed step is a line on stdout."""

from __future__ import annotations

import sys
from pathlib import Path

from laybyd.store.base import NewBlock, ProducerRow
from laybyd.store.lmdb_store import LmdbStore


def main(path: str) -> None:
    store = LmdbStore(Path(path), max_bytes=8 << 20, segment_bytes=1 << 18)
    fence = store.acquire()
    seq = max((one.last_seq for one in store.producers()), default=0)
    while True:
        seq += 1
        body = bytes((seq % 251,)) * (5_000 + seq % 40_000)
        block = NewBlock(f"topic-{seq % 3}", 2, body, (ProducerRow(b"one", seq, 0, seq),))
        (row,) = store.append(fence, [block], seq).rows
        store.commit_state(fence, [(b"settled", str(row.last).encode())])
        start = store.trim(fence, row.first - 60)
        sys.stdout.write(f"{seq} {row.first} {start}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
