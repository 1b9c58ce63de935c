"""A well-behaved client beside bad ones: pushes, polls, settles, one round after the other.

Owns its own account: rounds, the slowest, the first thing that went wrong. Must never know what
the bad ones do.
"""

from __future__ import annotations

import threading
import time

import zmq

from loadtests.latency import percentile
from tests.integration.daemon_process import Peer, acks, deliveries, poll


class Neighbour(threading.Thread):
    def __init__(self, url: str) -> None:
        super().__init__(name="neighbour", daemon=True)
        self._url = url
        self._over = threading.Event()
        self.changed = threading.Condition()
        self.rounds = 0
        self.slowest_s = 0.0
        self._took_s: list[float] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        context = zmq.Context()
        try:
            peer = Peer(context, self._url)
            while not self._over.is_set():
                began = time.monotonic()
                self._round(peer)
                took_s = time.monotonic() - began
                with self.changed:
                    self.rounds += 1
                    self.slowest_s = max(self.slowest_s, took_s)
                    self._took_s.append(took_s)
                    self.changed.notify_all()
        except BaseException as error:
            self.error = error
            with self.changed:
                self.changed.notify_all()
        finally:
            context.destroy(linger=0)

    def _round(self, peer: Peer) -> None:
        body = b"round %d" % self.rounds
        first = peer.ask("push", topic="neighbour", data=body)["first"]
        (got,) = deliveries(poll(peer, "neighbours", topics=["neighbour"]))
        assert (got.position, got.data) == (first, body)
        assert peer.ask("settle", group="neighbours", settle=acks([got]))["refused"] == []

    def more_rounds(self, rounds: int, within_s: float = 10.0) -> None:
        """Waits until it has got round so many times more; raises what went wrong."""
        with self.changed:
            wanted = self.rounds + rounds
            done = self.changed.wait_for(lambda: self.rounds >= wanted or self.error, within_s)
        if self.error is not None:
            raise self.error
        assert done, f"the neighbour made no {rounds} rounds in {within_s} s"

    def p99_ms(self) -> float:
        """Of the rounds since it was asked last."""
        with self.changed:
            took_s, self._took_s = sorted(self._took_s), []
        return round(percentile(took_s, 0.99) * 1e3, 2)

    def finish(self) -> None:
        self._over.set()
        self.join(15)
        if self.error is not None:
            raise self.error
