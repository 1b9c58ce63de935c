"""The delivery state on disk: one small ordered map, and the few facts that make it a store.

Owns the file, its budget and the reserve for a full disk. Must never know what its records mean.
Large commits (which carry messages' bytes) are refused above the budget; small ones never are:
settling and trimming must always work, for they are what makes room.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

import lmdb
import msgpack

from laybyd.store import engine
from laybyd.store.base import Damaged, Erase, Full, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from laybyd.store.base import Put

FORMAT = 1
SMALL_COMMIT = 64 << 10
RESERVE_BYTES = 64 << 20
"""Address space above twice the budget (deleted pages are not always of use at once)."""

BALLAST_BYTES = 4 << 20
"""Disk blocks set aside in a file of their own; given up when the disk is full."""

_META_KEY = b"\0meta"
_FIRST_KEY = b"\1"


class Meta(NamedTuple):
    """`first .. last` are the segments in service. Segments from `epoch_from` on carry `epoch`,
    those before it an older one."""

    format: int
    store_id: bytes
    epoch: int
    epoch_from: int
    boot: int
    first: int
    last: int


def pack_meta(meta: Meta) -> bytes:
    payload: bytes = msgpack.packb(meta)
    return crc32(payload).to_bytes(4, "big") + payload


def unpack_meta(value: bytes) -> Meta:
    fields = (
        msgpack.unpackb(value[4:]) if crc32(value[4:]) == int.from_bytes(value[:4], "big") else ()
    )
    if not fields:
        raise Damaged("what it says of the store fails its checksum")
    if fields[0] != FORMAT:
        raise Unavailable(f"it was made by another version of layby (format {fields[0]})")
    return Meta(*fields)


class StateDb:
    meta: Meta
    """As last stored; there once it was loaded or set."""

    def __init__(self, path: Path, ballast: Path, budget: int, create: bool = False) -> None:
        self.path = path
        self._ballast = ballast
        self._budget = budget
        self._lock = threading.Lock()
        self._env = engine.open_env(path, 2 * budget + RESERVE_BYTES, create=create)
        self._measure()

    def close(self) -> None:
        with self._lock:
            self._env.close()

    # ---- what makes it a store

    def load_meta(self) -> Meta:
        """Raises Damaged, or Unavailable when another version has written it."""
        with self._env.begin() as txn:
            value = txn.get(_META_KEY)
        if value is None:
            raise Damaged(f"{self.path} does not say which store it is; restore from a backup")
        try:
            self.meta = unpack_meta(bytes(value))
        except Damaged as error:
            raise Damaged(f"{self.path}: {error}") from error
        except Unavailable as error:
            raise Unavailable(f"{self.path}: {error}") from error
        return self.meta

    def set_meta(self, meta: Meta) -> None:
        """Durable when it returns. Raises Full or Unknown."""
        self._commit([(_META_KEY, pack_meta(meta))])
        self.meta = meta

    # ---- the map

    def commit(self, puts: Sequence[Put]) -> None:
        """All or nothing, durable when it returns. Raises Full or Unknown."""
        size = sum(len(put[1] or b"") for put in puts)
        if size > SMALL_COMMIT and self.used + size > self._budget:
            raise Full(f"the delivery state has reached {self.used} of {self._budget} bytes")
        self._commit(puts)

    def read(self, first: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        found: list[tuple[bytes, bytes]] = []
        try:
            with self._env.begin() as txn:
                cursor = txn.cursor()
                more = cursor.set_range(max(first, _FIRST_KEY))
                while more and len(found) < limit and bytes(cursor.key()) < end:
                    found.append((bytes(cursor.key()), bytes(cursor.value())))
                    more = cursor.next()
        except lmdb.Error as error:
            raise Damaged(f"{self.path} cannot be read: {error}") from error
        return found

    @property
    def is_full(self) -> bool:
        """Room for bytes of messages is nearly gone."""
        return self.used > self._budget * 9 // 10

    def _commit(self, puts: Sequence[Put]) -> None:
        with self._lock:
            try:
                self._apply(puts)
            except lmdb.Error as error:
                if not (engine.is_full(error, self.path) and self._give_ballast()):
                    raise engine.failed(error, self.path) from error
                self._apply_again(puts)
            self._measure()

    def _apply_again(self, puts: Sequence[Put]) -> None:
        try:
            self._apply(puts)
        except lmdb.Error as error:
            raise engine.failed(error, self.path) from error

    def _apply(self, puts: Sequence[Put]) -> None:
        with self._env.begin(write=True) as txn:
            for put in puts:
                if isinstance(put, Erase):
                    _erase(txn, put)
                elif put[1] is None:
                    txn.delete(put[0])
                else:
                    txn.put(put[0], put[1])

    def _measure(self) -> None:
        """Bytes of pages in use: the file itself never shrinks."""
        stat = self._env.stat()
        pages = stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
        self.used = pages * stat["psize"]

    # ---- the reserve

    def _give_ballast(self) -> bool:
        """Whether there was any to give."""
        try:
            self._ballast.unlink()
        except OSError:
            return False
        return True

    def housekeep(self) -> None:
        """Free the slots of readers that died; put the ballast back when there is room again."""
        with self._lock:
            self._env.reader_check()
            if not self._ballast.exists() and engine.free_bytes(self.path) > 4 * BALLAST_BYTES:
                self._take_ballast()

    def _take_ballast(self) -> None:
        made = self._ballast.with_name(self._ballast.name + ".new")
        fd = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, bytes(BALLAST_BYTES))
            os.fdatasync(fd)
        finally:
            os.close(fd)
        made.rename(self._ballast)


def _erase(txn: lmdb.Transaction, span: Erase) -> None:
    cursor = txn.cursor()
    more = cursor.set_range(span.first)
    while more and bytes(cursor.key()) < span.end:
        more = cursor.delete()
