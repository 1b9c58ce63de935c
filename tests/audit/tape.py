"""What went over one client's socket, and the history that it tells.

Owns the reading of frames, as a stranger to both ends would read them from PROTOCOL.md. Works below
any client, the library or a bare socket. While a run goes on it only keeps frames and times; they
are read afterwards, so that the tape costs the run little. Must never judge.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import msgpack

from loadtests.wire import bodies
from tests.audit.history import Call, Line, Writer, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Frames = list[bytes]

IDS = frozenset(("producer", "session", "lease"))
UNTOLD = frozenset(("op", "id", "ok", "data", "text", "fault", "retryable"))


def now_us() -> int:
    return time.monotonic_ns() // 1_000


class Tape:
    """Of one client, whatever connections it makes. Any of its threads may write."""

    def __init__(self, client: str) -> None:
        self.client = client
        self._entries: list[tuple[int, bool, Frames]] = []

    def sent(self, frames: Sequence[Any], at_us: int = 0) -> None:
        """`at_us`: a moment before they were sent; now, if they are still to be sent."""
        self._entries.append((at_us or now_us(), True, [bytes(frame) for frame in frames]))

    def received(self, frames: Sequence[Any]) -> None:
        self._entries.append((now_us(), False, [bytes(frame) for frame in frames]))

    def lines(self) -> list[Line]:
        lines: list[Line] = []
        reading = Reading(self.client, lines.append)
        for at_us, outgoing, frames in self._entries:
            reading.at_us = at_us
            (reading.sent if outgoing else reading.received)(frames)
        reading.close()
        return lines


class LiveTape(Tape):
    """Reads while it runs, for a process that may be killed: each line is handed on at once."""

    def __init__(self, client: str, sink: Callable[[Line], object]) -> None:
        super().__init__(client)
        self._mutex = threading.Lock()
        self._reading = Reading(client, sink)

    def sent(self, frames: Sequence[Any], at_us: int = 0) -> None:
        with self._mutex:
            self._reading.at_us = at_us or now_us()
            self._reading.sent([bytes(frame) for frame in frames])

    def received(self, frames: Sequence[Any]) -> None:
        with self._mutex:
            self._reading.at_us = now_us()
            self._reading.received([bytes(frame) for frame in frames])


class TapedSocket:
    """A zmq socket that is listened to."""

    def __init__(self, socket: Any, tape: Tape) -> None:
        self._socket = socket
        self._tape = tape

    def send_multipart(self, frames: Sequence[Any], **how: Any) -> None:
        self._tape.sent(frames)
        self._socket.send_multipart(frames, **how)

    def recv_multipart(self) -> list[bytes]:
        frames: list[bytes] = self._socket.recv_multipart()
        self._tape.received(frames)
        return frames

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


class _Push:
    """A push with a sequence, and how often it was sent and refused."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.sent = 0
        self.refused = 0
        self.code = ""


class Reading:
    """Frames in, lines out. A push that was refused as often as it was sent was not taken; any
    other without a confirm is unknown."""

    def __init__(self, client: str, sink: Callable[[Line], object]) -> None:
        self.at_us = 0
        self._client = client
        self._writer = Writer(sink, lambda: self.at_us)
        self._asked: dict[Any, Call] = {}
        self._pushes: dict[tuple[bytes, int], _Push] = {}

    def sent(self, frames: Frames) -> None:
        told = msgpack.unpackb(frames[0])
        if told["op"] == "push":
            texts = [told["data"]] if "data" in told else bodies(frames[1])
            told["data"] = [text_of(text) for text in texts]
        if told["op"] == "push" and "seq" in told:
            self._sent_push((told["producer"], told["seq"]), told)
        elif told["op"] != "hello":
            self._asked[told.get("id")] = self._invoke(told)

    def _invoke(self, told: dict[str, Any]) -> Call:
        fields = {key: _plain(key, value) for key, value in told.items() if key not in UNTOLD}
        if "data" in told:
            fields["data"] = told["data"]
        return self._writer.invoke(self._client, told["op"], **fields)

    def _sent_push(self, key: tuple[bytes, int], told: dict[str, Any]) -> None:
        push = self._pushes.get(key)
        if push is None:
            push = self._pushes[key] = _Push(self._invoke(told))
        push.sent += 1

    def received(self, frames: Frames) -> None:
        told = msgpack.unpackb(frames[0])
        if told.get("op") == "confirm":
            self._confirmed(told)
        elif "seq" in told and not told["ok"]:
            if push := self._pushes.get((told["producer"], told["seq"])):
                push.refused += 1
                push.code = told["code"]
        elif (call := self._asked.pop(told.get("id"), None)) is not None:
            self._answered(call, told, frames[1:])

    def _confirmed(self, told: dict[str, Any]) -> None:
        for seq, first in zip(range(told["from"], told["upto"] + 1), told["first"], strict=True):
            push = self._pushes.pop((told["producer"], seq), None)
            if push is not None:
                self._writer.ok(push.call, boot=told["boot"], first=first)

    def _answered(self, call: Call, told: dict[str, Any], blocks: Frames) -> None:
        if not told["ok"]:
            self._writer.fail(call, told["code"])
            return
        fields = {key: _plain(key, value) for key, value in told.items() if key not in UNTOLD}
        for key in ("leases", "blocks"):
            for one, block in zip(fields.get(key, ()), blocks, strict=False):
                one["data"] = [text_of(data) for data in bodies(block)]
                one.setdefault("ranges", [])
        self._writer.ok(call, **fields)

    def close(self) -> None:
        """Nothing more is waited for."""
        for push in self._pushes.values():
            if push.refused >= push.sent:
                self._writer.fail(push.call, push.code)
        self._pushes.clear()


def _plain(key: str, value: Any) -> Any:
    """As JSON has it: ids in hex, lists of maps likewise, histories without their bytes."""
    if isinstance(value, bytes):
        return value.hex() if key in IDS else value.decode("latin-1")
    if isinstance(value, dict):
        return {name: _plain(name, inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(key, inner) for inner in value]
    return value
