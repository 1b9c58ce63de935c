"""What clients saw, as JSON lines: the one form of evidence that the auditor judges.

Owns the form, a writer with any clock, and a reader. Must never judge, nor know the broker's code.

Every line has `t` (microseconds of one clock for all that write), `client`, `op` and `phase`:

    invoke   written before the request is sent
    ok       the answer came, and it was no refusal
    fail     refused: the broker said that nothing was done, and no other sending of it is in doubt
    unknown  no answer, and none is waited for any more. An `ok` may still follow: it came late

`call` is a number of the client's own and joins an end to its invoke; an invoke without an end is
unknown, too. The other fields are those of the protocol under the protocol's names, with these
differences: ids (lease, session, producer) are hex; ranges are [from, to, from, to, ...]; where the
protocol has blocks there is `data`, a list with `text_of` each message.

    op       invoke                                             ok
    push     topic data [producer seq]                          boot first
    poll     group topics? [session n got] messages             boot n leases [refused] [why]
             handlers? idle? lease_ms? [settle] [working hold]
    settle   group settle [session]                             boot refused
    extend   group session working hold                         boot [refused]
    goodbye  group session                                      boot
    read     topics from [until]                                boot next blocks [start]
    parked   group lane                                         boot parked more
    group    group                                              boot waiting out deferred dead
                                                                [start]
    retry    group lane ranges                                  boot done missing
    drop     group lane ranges                                  boot done missing
    group_create, group_set, group_delete, topic_delete: as in the protocol

A push with a sequence is one call from its first sending to its confirm, however often it is sent
again; without one every sending is a call of its own. A poll that is sent again under the same `n`
is a call of its own. `leases` are the protocol's, each with `data`; blocks of a read are {topic,
ranges, data}; `start` is where the log is known to have begun at that time, if it is.

What happens to the run itself are single `ok` lines without a call, of the client "run" unless the
line is about another:

    limits   group? and any of: lease_ms max_handling_ms backoff_ms max_attempts max_out max_wait_ms
             leases_per_session seen_within_ms live_first_ms. What is not stated is not judged;
             a setting that changes is stated at its loosest. The last two are the writer's own:
             so soon after the last fault every confirmed message is handed out, and so long may
             a live message wait while deferred work is
    kill     who        who is "daemon" or a client. It never acts again, or as somebody new
    start    boot       the daemon serves
    stop     who        SIGSTOP;  cont: it goes on
    wall     by_us      the wall clock jumped
    faults   on         whether faults go on. After the last false all must come right
    end      drained    the run is over; drained: every confirmed message must have ended
"""

from __future__ import annotations

import hashlib
import json
import os
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

Line = dict[str, Any]

INVOKE, OK, FAIL, UNKNOWN = "invoke", "ok", "fail", "unknown"
PHASES = frozenset((INVOKE, OK, FAIL, UNKNOWN))
RUN = "run"
DAEMON = "daemon"

SHOWN = 32
"""Of a message that is longer its beginning is written down, and a digest of all of it."""


class Unreadable(ValueError):
    """A line that is none; says which."""


def text_of(data: bytes) -> str:
    """What stands for a message's bytes: other bytes, another text."""
    if len(data) <= SHOWN and data.isascii() and data.decode().isprintable():
        return data.decode()
    shown = "".join(c if c.isprintable() else "?" for c in data[:SHOWN].decode("latin-1"))
    return f"{shown}~{hashlib.blake2b(data, digest_size=8).hexdigest()}"


class Call(NamedTuple):
    """A request under way."""

    client: str
    op: str
    number: int


class Writer:
    """Hands each line to `sink` as a dict: a file's (`Appender`), or a list's `append`."""

    def __init__(self, sink: Callable[[Line], object], now_us: Callable[[], int]) -> None:
        self._sink = sink
        self._now_us = now_us
        self._numbers = count(1)

    def invoke(self, client: str, op: str, **fields: object) -> Call:
        call = Call(client, op, next(self._numbers))
        self._write(client, op, INVOKE, {"call": call.number} | fields)
        return call

    def ok(self, call: Call, **fields: object) -> None:
        self._write(call.client, call.op, OK, {"call": call.number} | fields)

    def fail(self, call: Call, code: str) -> None:
        self._write(call.client, call.op, FAIL, {"call": call.number, "code": code})

    def unknown(self, call: Call) -> None:
        self._write(call.client, call.op, UNKNOWN, {"call": call.number})

    def event(self, op: str, client: str = RUN, **fields: object) -> None:
        """Something that happened and that nobody asked the broker for."""
        self._write(client, op, OK, fields)

    def _write(self, client: str, op: str, phase: str, fields: Line) -> None:
        self._sink({"t": self._now_us(), "client": client, "op": op, "phase": phase} | fields)


class Appender:
    """A file of lines, each written by one call: a kill loses none that was acted on. Several
    threads and processes may append to one file."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def __call__(self, line: Line) -> None:
        os.write(self._file, json.dumps(line, separators=(",", ":")).encode() + b"\n")

    def close(self) -> None:
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def merged(*histories: Iterable[Line]) -> list[Line]:
    """All lines in order of time; those of one instant in the order given."""
    return sorted((line for lines in histories for line in lines), key=lambda line: line["t"])


def read(*paths: Path) -> list[Line]:
    """The lines of some files as one history. A last line that a kill cut short does not count."""
    return merged(*(_lines(path) for path in paths))


def _lines(path: Path) -> Sequence[Line]:
    *whole, _ = path.read_bytes().split(b"\n")
    return [checked(raw, f"{path.name}:{number}") for number, raw in enumerate(whole, 1)]


def checked(raw: bytes, where: str) -> Line:
    try:
        line = json.loads(raw)
        good = (
            isinstance(line["t"], int)
            and isinstance(line["client"], str)
            and isinstance(line["op"], str)
            and line["phase"] in PHASES
        )
    except (ValueError, KeyError, TypeError) as error:
        raise Unreadable(f"{where}: {error!r}") from error
    if not good:
        raise Unreadable(f"{where}: t, client, op or phase is not as it must be")
    found: Line = line
    return found
