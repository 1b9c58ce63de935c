"""The delivery state on disk: one small ordered map, and the few facts that make it a store.

Owns the file, its budget and the reserve for a full disk. Must never know what its records mean.
Large commits (which carry messages' bytes) are refused above the budget; small ones never are:
settling and trimming must always work, for they are what makes room.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

import lmdb
import msgpack

from laybyd.store import engine, limits
from laybyd.store.base import Damaged, Erase, Full, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from laybyd.store.base import Put

log = logging.getLogger("laybyd.store")

FORMAT = 1
READ_BYTES = 1 << 37
"""Address space to read a state file in that may grow meanwhile; no memory."""

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

    def __init__(
        self, path: Path, budget: int, create: bool = False, readonly: bool = False
    ) -> None:
        self.path = path
        self._ballast = path.with_name("ballast")
        self._budget = budget
        self._lock = threading.Lock()
        self._is_open = True
        self._has_ballast = self._ballast.exists()
        self._env = engine.open_env(
            path, limits.state_map_bytes(budget), create=create, readonly=readonly
        )
        self._measure()

    def close(self) -> None:
        with self._lock:
            self._is_open = False
            self._env.close()

    # ---- what makes it a store

    def load_meta(self) -> Meta:
        """Raises Damaged, or Unavailable when another version has written it."""
        try:
            with self._env.begin() as txn:
                value = txn.get(_META_KEY)
        except lmdb.Error as error:
            raise engine.unreadable(error, self.path) from error
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
        if not limits.takes_state(self.used, size, self._budget):
            raise Full(f"the delivery state has reached {self.used} of {self._budget} bytes")
        self._commit(puts)

    def read_state(self, first: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        found: list[tuple[bytes, bytes]] = []
        try:
            with self._env.begin() as txn:
                cursor = txn.cursor()
                more = cursor.set_range(max(first, _FIRST_KEY))
                while more and len(found) < limit and bytes(cursor.key()) < end:
                    found.append((bytes(cursor.key()), bytes(cursor.value())))
                    more = cursor.next()
        except lmdb.Error as error:
            raise engine.unreadable(error, self.path) from error
        return found

    def copy_to(self, path: Path) -> int:
        """A copy as of now; how many bytes it takes."""
        return engine.copy(self._env, path)

    @property
    def is_full(self) -> bool:
        return not self._has_ballast or limits.is_state_full(self.used, self._budget)

    @property
    def is_spent(self) -> bool:
        return limits.is_state_spent(self.used, self._budget)

    def _commit(self, puts: Sequence[Put]) -> None:
        with self._lock:
            try:
                self._apply(puts)
            except lmdb.Error as error:
                if not (engine.is_full(error, self.path) and self._give_ballast()):
                    raise engine.failed(error, self.path, self._env) from error
                self._apply_again(puts)
            self._measure()

    def _apply_again(self, puts: Sequence[Put]) -> None:
        try:
            self._apply(puts)
        except lmdb.Error as error:
            raise engine.failed(error, self.path, self._env) from error

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
        self._has_ballast = False
        return True

    def take_ballast(self) -> None:
        """Set it aside again, if it is not and there is room. It is written, not only declared:
        its disk blocks must really be there."""
        if self._ballast.exists() or engine.free_bytes(self.path) < 2 * BALLAST_BYTES:
            return
        made = self._ballast.with_name(self._ballast.name + ".new")
        try:
            with made.open("wb") as file:
                made.chmod(0o600)
                file.write(bytes(BALLAST_BYTES))
                file.flush()
                os.fdatasync(file.fileno())
            made.rename(self._ballast)
            self._has_ballast = True
        except OSError as error:
            log.warning("no room for the ballast of %s: %s", self.path, error)
            made.unlink(missing_ok=True)

    def housekeep(self) -> None:
        """Free the slots of readers that died; put the ballast back when there is room again."""
        with self._lock:
            if self._is_open:
                self._env.reader_check()
        self.take_ballast()


def open_to_read(path: Path) -> StateDb:
    """Of a store that another process may be running: as much address space as it can ever grow
    into. Raises Damaged, or Unavailable for another version's."""
    state = StateDb(path, READ_BYTES, readonly=True)
    try:
        state.load_meta()
    except BaseException:
        state.close()
        raise
    return state


def _erase(txn: lmdb.Transaction, span: Erase) -> None:
    cursor = txn.cursor()
    more = cursor.set_range(span.first)
    while more and bytes(cursor.key()) < span.end:
        more = cursor.delete()
