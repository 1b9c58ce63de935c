"""What becomes of a store that was harmed: what the check says, and what a start reads of it.

Each look is a process of its own, so that its death is an answer. Must never judge.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import resource
import signal
from typing import TYPE_CHECKING, NamedTuple

from laybyd.core.types import DEAD, DEFERRED
from laybyd.store import records
from laybyd.store.base import Damaged, StoreError
from laybyd.store.check import walk
from laybyd.store.lmdb_store import LmdbStore
from laybyd.wire.block import crc_ok

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PATIENCE_S = 60
DAMAGED = "damaged"


class Seen(NamedTuple):
    """`how`: "whole", "damaged" (it says so), "refused" otherwise, "failed" (a bug), or "SIG…".
    `parts` is a hash for each thing that is read, or DAMAGED for a block that was refused."""

    how: str
    text: str = ""
    parts: dict[str, str] = {}  # noqa: RUF012


def checked(store: Path) -> Seen:
    return _apart(lambda: _check(store))


def started(store: Path) -> Seen:
    return _apart(lambda: _read_all(store))


def _check(store: Path) -> Seen:
    problems = walk(store, crc_ok).problems
    return Seen("damaged", problems[0]) if problems else Seen("whole")


def _read_all(store: Path) -> Seen:
    opened = LmdbStore(store, max_bytes=16 << 20, segment_bytes=256 << 10)
    opened.acquire()
    parts = {
        "topics": _hash(opened.topics()),
        "producers": _hash(opened.producers()),
        "forgotten": _hash(sorted(records.load_forgotten(opened).items())),
    }
    for state in records.load_groups(opened):
        gid = state.record.gid
        parts[f"group {gid}"] = _hash(state)
        for lane in (DEFERRED, DEAD):
            found, _ = records.find_parked(opened, gid, lane, (), 0, 1_000)
            for record in found:
                name = f"{lane} {gid} {record.first}"
                parts[name] = _hash(record)
                if not record.in_log:
                    parts[f"bytes of {name}"] = _parked(opened, gid, record.block)
        due, _ = records.load_due(opened, gid, (0, 0), 1_000)
        parts[f"due {gid}"] = _hash(due)
    at, end = opened.facts().start, opened.facts().end
    parts["ends"] = _hash((at, end))
    while at < end:
        rows, at = opened.rows(at, 100)
        for row in rows:
            parts[f"row {row.first}"] = _hash(row)
            parts[f"block {row.first}"] = _stored(opened, row.first)
    opened.close()
    return Seen("whole", "", parts)


def _stored(opened: LmdbStore, position: int) -> str:
    try:
        return _body(opened.read(position)[1])
    except Damaged:
        return DAMAGED


def _parked(opened: LmdbStore, gid: int, block: int) -> str:
    """Bytes that are not there are damage to the daemon, too."""
    try:
        return _body(records.parked_body(opened, gid, block))
    except KeyError:
        return DAMAGED


def _body(body: bytes) -> str:
    return _hash(body) if crc_ok(body) else DAMAGED


def _hash(what: object) -> str:
    return hashlib.sha256(repr(what).encode()).hexdigest()[:12]


def _apart(look: Callable[[], Seen]) -> Seen:
    """In a child that dies alone."""
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        os.close(ours)
        with contextlib.suppress(BaseException):
            _answer(look, theirs)
        os._exit(3)
    os.close(theirs)
    with os.fdopen(ours, "rb") as told:
        answer = told.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return Seen(signal.Signals(os.WTERMSIG(status)).name)
    return Seen(*json.loads(answer)) if answer else Seen("failed", "it said nothing")


def _answer(look: Callable[[], Seen], out: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(PATIENCE_S)
    try:
        seen = look()
    except Damaged as error:
        seen = Seen("damaged", str(error))
    except StoreError as error:
        seen = Seen("refused", f"{type(error).__name__}: {error}")
    except Exception as error:
        seen = Seen("failed", f"{type(error).__name__}: {error}")
    with os.fdopen(out, "wb") as told:
        told.write(json.dumps(seen).encode())
    os._exit(0)
