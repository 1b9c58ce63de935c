"""One segment of the log: a file with a run of blocks and their index.

Owns the file while it is in service, and what is known of it without reading it. Must never know
the other segments or when to roll. Keys only grow and nothing is ever deleted inside, so that the
file never fragments. A read transaction lives for one call: one that lingers would make the file
grow for good.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import lmdb

from laybyd.store import engine, index
from laybyd.store.base import Damaged
from laybyd.store.topics import TopicSums

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from laybyd.core.types import Row
    from laybyd.store.index import Header, Opening, PushRow, Sums
    from laybyd.store.producers import ProducerTable

SLACK_BYTES = 64 << 20
"""Address space beyond a segment's size: one batch larger than a segment still fits alone."""

_OPEN_ENDED = 1 << 60


def prepare(path: Path, header: Header, map_bytes: int) -> None:
    """Make an empty file ready to go into service as this segment."""
    env = engine.open_env(path, map_bytes, dbs=2, create=True)
    try:
        with env.begin(write=True) as txn:
            entries = env.open_db(b"index", txn=txn)
            env.open_db(b"blocks", txn=txn)
            txn.put(index.HEADER_KEY, index.pack_header(header), db=entries)
    except lmdb.Error as error:
        raise engine.failed(error, path, env) from error
    finally:
        env.close()


class Known(NamedTuple):
    """A commit decoded: kept because the next read mostly wants the same one."""

    first: int
    last: int
    rows: list[Row]


class Segment:
    def __init__(self, path: Path, map_bytes: int, readonly: bool = False) -> None:
        """Opens the file. Raises Damaged."""
        self.path = path
        self._map_bytes = map_bytes
        self._open(readonly)
        try:
            self._load()
        except lmdb.Error as error:
            self._env.close()
            raise engine.unreadable(error, path, "cannot be read") from error
        except Damaged as error:
            self._env.close()
            raise Damaged(f"{path}: {error}") from error

    # ---- what is known without reading

    header: Header
    opening: Opening | None
    """None as long as nothing was ever appended."""
    sealed: bool
    topics: TopicSums
    end: int
    last_us: int
    commits: int
    last_commit: int
    """The position at which the last commit begins."""
    last_sums: int
    """The commit at which the last checkpoint (or the seal) lies; 0 for none."""
    used: int

    @property
    def base(self) -> int:
        return self.opening.base if self.opening else self.end

    def begin_at(self, end: int, last_us: int) -> None:
        """Where an empty segment goes on."""
        self.end, self.last_us = end, last_us

    def _open(self, readonly: bool) -> None:
        env = engine.open_env(self.path, self._map_bytes, dbs=2, readonly=readonly)
        try:
            self._index = env.open_db(b"index", create=False)
            self._blocks = env.open_db(b"blocks", create=False)
        except lmdb.Error as error:
            env.close()
            raise engine.unreadable(error, self.path, "is no segment of a log") from error
        self._env = env
        self._is_open = True

    # ---- recovery

    def _load(self) -> None:
        self.used = engine.used_bytes(self._env)
        self._known: Known | None = None
        self._lock = threading.Condition()
        self._readers = 0
        self._closed = False
        with self._env.begin() as txn:
            self.header = index.unpack_header(self._need(txn, index.HEADER_KEY))
            opening = self._opening_in(txn)
            # The producers in it may be a megabyte and more: read again by who wants them.
            self.opening = opening._replace(producers=b"") if opening else None
            sums, tail = self._tail(txn)
        self._resume(sums)
        self._tail_pushes: list[tuple[PushRow, int]] = []
        for key, entry in tail:
            self._replay(key, entry)
        self._check_opening()

    def _opening_in(self, txn: lmdb.Transaction) -> Opening | None:
        entry = txn.get(index.OPENING_KEY, db=self._index)
        return index.unpack_opening(bytes(entry)) if entry else None

    def _need(self, txn: lmdb.Transaction, key: bytes) -> bytes:
        entry = txn.get(key, db=self._index)
        if entry is None:
            raise Damaged(f"index entry {key.hex()} is missing")
        return bytes(entry)

    def _tail(self, txn: lmdb.Transaction) -> tuple[Sums | None, list[tuple[bytes, bytes]]]:
        """The last sums, and the commits behind them, oldest first."""
        tail: list[tuple[bytes, bytes]] = []
        cursor = txn.cursor(db=self._index)
        self.sealed = False
        more = cursor.last()
        while more and bytes(cursor.key()) > index.OPENING_KEY:
            key, entry = bytes(cursor.key()), bytes(cursor.value())
            if len(key) != index.PLAIN:
                self.sealed = not tail and key == index.seal_key(index.first_of(key))
                self.last_commit = index.first_of(key)
                return index.unpack_sums(key, entry), tail[::-1]
            tail.append((key, entry))
            more = cursor.prev()
        self.last_commit = 0
        return None, tail[::-1]

    def _resume(self, sums: Sums | None) -> None:
        self.last_sums = self.last_commit if sums else 0
        self.commits = sums.commits if sums else 0
        self.topics = TopicSums(sums.topics if sums else ())
        self.end = sums.end if sums else self.opening.base if self.opening else 0
        self.last_us = sums.last_us if sums else self.opening.last_us if self.opening else 0

    def _replay(self, key: bytes, entry: bytes) -> None:
        commit = index.unpack_commit(key, entry, self.topics.names)
        if index.first_of(key) != self.end:
            raise Damaged(f"the log has a gap: {self.end} is followed by {index.first_of(key)}")
        self.note(commit.rows)
        self._tail_pushes += [(push, commit.at_us) for push in commit.pushes]

    def _check_opening(self) -> None:
        if self.opening is None and self.commits:
            raise Damaged("it has commits but no opening")

    def note(self, rows: Sequence[Row]) -> None:
        """These rows are committed."""
        for row in rows:
            self.topics.add(row)
        self.commits += 1
        self.last_commit = rows[0].first
        self.last_us = rows[0].at_us
        self.end = rows[-1].last + 1

    def tell_producers(self, table: ProducerTable) -> None:
        """All that this segment knows of producers, its past included."""
        with self._reading() as txn:
            opening = self._opening_in(txn)
        if opening:
            table.load(opening.producers)
        for sums in reversed(list(self._checkpoints())):
            table.load(sums.producers)
        for push, at_us in self._tail_pushes:
            table.note(*push, at_us)
        self._tail_pushes.clear()

    def _checkpoints(self) -> Iterator[Sums]:
        """From the last one back."""
        at, seal = self.last_sums, self.sealed
        with self._reading() as txn:
            while at:
                key = index.seal_key(at) if seal else index.checkpoint_key(at)
                sums = index.unpack_sums(key, self._need(txn, key))
                yield sums
                at, seal = sums.previous, False

    # ---- writing (one thread at a time)

    def write(
        self,
        entries: Sequence[tuple[bytes, bytes]],
        blocks: Sequence[tuple[bytes, bytes | memoryview]] = (),
    ) -> None:
        """One durable commit. Raises Full, with nothing taken, or Unknown."""
        try:
            with self._env.begin(write=True) as txn:
                for key, body in blocks:
                    self._append(txn, key, body, self._blocks)
                for key, entry in entries:
                    self._append(txn, key, entry, self._index)
        except lmdb.Error as error:
            raise engine.failed(error, self.path, self._env) from error
        self.used = engine.used_bytes(self._env)

    def _append(
        self, txn: lmdb.Transaction, key: bytes, value: bytes | memoryview, db: lmdb._Database
    ) -> None:
        if not txn.put(key, value, append=True, db=db):
            raise Damaged(f"{self.path}: {key.hex()} is not behind all that is stored")

    # ---- reading (any thread)

    def read(self, position: int) -> tuple[Row, bytes]:
        with self._reading() as txn:
            rows = self._commit_at(txn, position).rows
            row = rows[bisect_right(rows, position, key=lambda one: one.first) - 1]
            body = txn.get(index.commit_key(row.first), db=self._blocks)
        if body is None or len(body) != row.size:
            raise Damaged(f"{self.path}: the block at position {row.first} is not what was stored")
        return row, bytes(body)

    def _commit_at(self, txn: lmdb.Transaction, position: int) -> Known:
        known = self._known
        if known is None or not known.first <= position <= known.last:
            cursor = txn.cursor(db=self._index)
            self._seek(cursor, position)
            rows = self._rows_at(cursor)
            known = self._known = Known(rows[0].first, rows[-1].last, rows)
            if position > known.last:
                raise Damaged(f"{self.path}: the log has a gap at position {position}")
        return known

    def _seek(self, cursor: lmdb.Cursor, position: int) -> None:
        """Move to the commit that holds the position."""
        later = cursor.set_range(index.commit_key(position + 1))
        more = cursor.prev() if later else cursor.last()
        while more and len(cursor.key()) != index.PLAIN:
            more = cursor.prev()
        if not more or cursor.key() == index.HEADER_KEY:
            raise Damaged(f"{self.path}: the index does not reach down to position {position}")

    def _rows_at(self, cursor: lmdb.Cursor) -> list[Row]:
        key, entry = bytes(cursor.key()), bytes(cursor.value())
        return index.unpack_commit(key, entry, self.topics.names).rows

    def rows(self, first: int, limit: int) -> list[Row]:
        """Rows that end at or after `first`, about `limit` of them."""
        end = self.end
        found: list[Row] = []
        with self._reading() as txn:
            cursor = txn.cursor(db=self._index)
            self._seek(cursor, first)
            more = True
            while more and len(found) < limit:
                if len(cursor.key()) == index.PLAIN:
                    found += self._rows_at(cursor)
                more = cursor.next()
        return [row for row in found if row.first < end and row.last >= first]

    def find_time(self, at_us: int) -> int:
        """The first position appended at or after the time, by halving; else the end."""
        low, high = self.base, self.end
        with self._reading() as txn:
            cursor = txn.cursor(db=self._index)
            while low < high:
                middle = (low + high) // 2
                self._seek(cursor, middle)
                key, entry = bytes(cursor.key()), bytes(cursor.value())
                if index.at_of(key, entry) >= at_us:
                    high = index.first_of(key)
                else:
                    low = self._rows_at(cursor)[-1].last + 1
        return low

    @contextmanager
    def _reading(self) -> Iterator[lmdb.Transaction]:
        """A read transaction during which the file is not closed. Raises KeyError once it is."""
        with self._lock:
            if self._closed:
                raise KeyError(f"{self.path} is no longer part of the log")
            if not self._is_open:
                self._open(readonly=True)
            self._readers += 1
        try:
            with self._env.begin() as txn:
                yield txn
        except lmdb.Error as error:
            raise engine.unreadable(error, self.path, "cannot be read") from error
        finally:
            with self._lock:
                self._readers -= 1
                self._lock.notify_all()

    # ---- upkeep

    def copy_to(self, path: Path) -> int:
        """A copy as of now; how many bytes it takes."""
        with self._reading():
            return engine.copy(self._env, path)

    def housekeep(self) -> None:
        """Free the slots of readers that died."""
        with self._lock:
            if self._is_open and not self._closed:
                self._env.reader_check()

    def freeze(self) -> None:
        """From here on it is only read: give back what writing to it costs. When it cannot be
        opened again now, the next reader does."""
        with self._lock:
            self._lock.wait_for(lambda: not self._readers)
            if not self._closed:
                self._env.close()
                self._is_open = False
                self._open(readonly=True)

    def close(self) -> None:
        """Waits for who is reading."""
        with self._lock:
            self._closed = True
            self._lock.wait_for(lambda: not self._readers)
        self._env.close()
