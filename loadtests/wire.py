"""The protocol as a stranger would write it from PROTOCOL.md: maps, blocks, one request at a time.

Owns a second, small reading of the document, apart from the client library's, so that load is not
judged by the code it loads. Works with `zmq` and with `zmq.green`. Must never know a scenario.
"""

from __future__ import annotations

import itertools
import struct
import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import msgpack
import zmq

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_HEADER = struct.Struct("<4sBBHIIQ6I")


def block(bodies: Sequence[bytes]) -> bytes:
    """Messages without keys, times and headers as one block."""
    lengths = struct.pack(f"<{len(bodies)}I", *map(len, bodies))
    data = b"".join(bodies)
    sizes = (len(lengths), 0, 0, 0, 0, len(data))
    lead = _HEADER.pack(b"LBK1", 1, 0, 0, 0, len(bodies), 0, *sizes)
    tail = lead[12:] + lengths + data
    crc = zlib.crc32(tail, zlib.crc32(lead[:8]))
    return lead[:8] + crc.to_bytes(4, "little") + tail


def bodies(block: bytes) -> list[bytes]:
    """What is in a block, keys and headers left out. Raises ValueError when its CRC is wrong."""
    magic, _, _, _, crc, messages, _, *sizes = _HEADER.unpack_from(block)
    if magic != b"LBK1" or crc != zlib.crc32(block[12:], zlib.crc32(block[:8])):
        raise ValueError("not a block, or its CRC does not match")
    lengths = struct.unpack_from(f"<{messages}I", block, _HEADER.size)
    ends = itertools.accumulate(lengths, initial=len(block) - sizes[5])
    return [block[start:end] for start, end in itertools.pairwise(ends)]


def pairs(ranges: Sequence[int]) -> Iterator[tuple[int, int]]:
    """[from, to, from, to, ...] as pairs."""
    return zip(ranges[::2], ranges[1::2], strict=True)


def positions(ranges: Sequence[int]) -> Iterator[int]:
    for first, last in pairs(ranges):
        yield from range(first, last + 1)


class Refused(Exception):
    """The broker said no; `answer` holds code, fault, retryable, retry_ms and text."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__(f"{answer.get('code')}: {answer.get('text')}")
        self.answer = answer
        self.code = answer.get("code")


class NoAnswer(Exception):
    """Nothing came in time: the outcome is unknown."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A map, read like one, and the blocks behind it."""

    map: dict[str, Any]
    blocks: list[bytes]

    @classmethod
    def of(cls, frames: list[bytes]) -> Self:
        return cls(msgpack.unpackb(frames[0]), frames[1:])

    def __getitem__(self, key: str) -> Any:
        return self.map[key]


class Delivery(NamedTuple):
    """One message as it came in the answer to a poll."""

    position: int
    data: bytes
    topic: str
    lease: bytes
    boot: int
    grant: int
    lane: str
    deliveries: int
    attempts: int


def deliveries(answer: Answer) -> list[Delivery]:
    """All messages of a poll's answer, in the order given."""
    found = []
    for lease, frame in zip(answer["leases"], answer.blocks, strict=True):
        places = list(positions(lease["ranges"]))
        handed_out = lease.get("deliveries") or [1] * len(places)
        attempts = lease.get("attempts") or [0] * len(places)
        head = (lease["topic"], lease["lease"], answer["boot"], lease["grant"], lease["lane"])
        for at, data, times, failed in zip(
            places, bodies(frame), handed_out, attempts, strict=True
        ):
            found.append(Delivery(at, data, *head, times, failed))
    return found


class Peer:
    """One DEALER connection. One user at a time."""

    def __init__(self, context: zmq.Context[Any], url: str) -> None:
        self._ids = itertools.count(1)
        self.socket = context.socket(zmq.DEALER)
        self.socket.set(zmq.LINGER, 0)
        self.socket.set(zmq.RECONNECT_IVL, 10)
        self.socket.connect(url)

    def send(self, op: str, frame: bytes | None = None, **fields: object) -> bytes:
        """Send a request, which returns its id."""
        ident = next(self._ids).to_bytes(4, "big")
        head = msgpack.packb({"op": op, "id": ident} | fields)
        self.socket.send_multipart([head] if frame is None else [head, frame], copy=True)
        return ident

    def receive(self, wait_ms: int) -> Answer | None:
        """The next answer, if one comes in time."""
        return Answer.of(self.socket.recv_multipart()) if self.socket.poll(wait_ms) else None

    def ask(
        self, op: str, frame: bytes | None = None, *, within_s: float = 10.0, **fields: object
    ) -> Answer:
        """Send a request and wait for its answer; other answers are thrown away."""
        ident = self.send(op, frame, **fields)
        end = time.monotonic() + within_s
        while (left := end - time.monotonic()) > 0:
            answer = self.receive(max(1, int(left * 1000)))
            if answer is None or answer.map.get("id") != ident:
                continue
            if not answer["ok"]:
                raise Refused(answer.map)
            return answer
        raise NoAnswer(f"no answer to {op} within {within_s:.1f} s")

    def close(self) -> None:
        self.socket.close()
