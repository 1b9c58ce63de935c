"""Processes that produce and consume through the client library, for measured experiments.

Owns the two ends and what they measure; the results are left in a file when they end. Bodies are
`INTENDED_US KIND ...`: the instant a message was meant to be sent, and "live" or "poison". Run as
`python -m loadtests.hands produce|consume ...`; `start` does it.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgpack

import layby

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TOPIC = "app"
GROUP = "hands"
PADDING = b"." * 170


def now_us() -> int:
    return time.monotonic_ns() // 1_000


def body(kind: bytes, intended_us: int) -> bytes:
    return b"%d %s %s" % (intended_us, kind, PADDING)


class Hand:
    """A started process; `results` ends it if it still runs and gives what it measured."""

    def __init__(self, out: Path, role: str, *arguments: object) -> None:
        self._out = out
        command = [sys.executable, "-m", "loadtests.hands", role, str(out), *map(str, arguments)]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)

    def wait_ready(self) -> None:
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def wait(self, timeout_s: float) -> None:
        self._process.wait(timeout_s)

    def results(self) -> dict[str, Any]:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(60)
        self._close()
        if code:
            raise ChildProcessError(f"a hand ended with {code}")
        found: dict[str, Any] = msgpack.unpackb(self._out.read_bytes())
        return found

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._close()

    def _close(self) -> None:
        assert self._process.stdout is not None
        self._process.stdout.close()


def say_ready() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


# ---- the two ends -----------------------------------------------------------------------------


def produce(out: Path, url: str, rate: str, seconds: str, poison_every: str) -> None:
    """An open loop: what is late counts from when it was meant to be sent."""
    every, period_us = int(poison_every), 1e6 / float(rate)
    sent = 0
    with layby.connect(url, name="producer") as client, client.producer(TOPIC) as producer:
        say_ready()
        start_us = now_us()
        for i in range(int(float(rate) * float(seconds))):
            due_us = start_us + int(i * period_us)
            while (left := due_us - now_us()) > 0:
                time.sleep(left / 1e6)
            kind = b"poison" if every and i % every == every - 1 else b"live"
            producer.send(body(kind, due_us))
            sent += 1
    out.write_bytes(msgpack.packb({"sent": sent, "start_us": start_us}))


class Poison(Exception):
    """What a handler says of a message it can do nothing with."""


class Worker:
    """Sleeps for each message, as a handler that waits for a database does."""

    def __init__(self, handling_s: float) -> None:
        self.handling_s = handling_s
        self.waits: list[tuple[int, int]] = []
        self.acked = self.failed = self.drained = self.deliveries = 0

    def work(self, message: layby.Message) -> None:
        at_us = now_us()
        intended, kind, _ = message.data.split(b" ", 2)
        if message.lane == "live" and kind == b"live" and message.deliveries == 1:
            self.waits.append((int(intended), at_us - int(intended)))
        time.sleep(self.handling_s)
        if message.lane != "live":
            self.drained += 1
        elif kind == b"poison":
            self.failed += 1
            raise Poison("cannot be worked on")
        self.acked += 1
        self.deliveries += message.deliveries


def consume(out: Path, url: str, handling_s: str) -> None:
    worker = Worker(float(handling_s))
    with layby.connect(url) as client:
        signal.signal(signal.SIGTERM, lambda *_: client.stop())
        with client.consume(TOPIC, group=GROUP) as consumer:
            say_ready()
            for message in consumer:
                with message:
                    worker.work(message)
    out.write_bytes(msgpack.packb(vars(worker)))


def main(role: str, out: str, *arguments: str) -> None:
    import logging

    logging.getLogger("layby").setLevel(logging.CRITICAL)
    ends: dict[str, Callable[..., None]] = {"produce": produce, "consume": consume}
    ends[role](Path(out), *arguments)


def start(folder: Path, role: str, *arguments: object) -> Hand:
    number = len(list(folder.glob("*.hand")))
    out = folder / f"{number}.hand"
    out.touch()
    return Hand(out, role, *arguments)


def start_consumers(folder: Path, url: str, hands: int, handling_s: float) -> Sequence[Hand]:
    """So many consumers, all of them connected."""
    started = [start(folder, "consume", url, handling_s) for _ in range(hands)]
    for hand in started:
        hand.wait_ready()
    return started


if __name__ == "__main__":
    main(*sys.argv[1:])
