"""One daemon with its clients, from the first push to the last message's end, and the judgement.

Owns who takes part and the drain. What goes wrong meanwhile is the caller's. Must never look into
the store: it believes only what clients were told.
"""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any

import zmq

from loadtests.daemon import DaemonProcess, NotReady
from loadtests.wire import NoAnswer, Peer, Refused
from tests.audit.auditor import audit
from tests.audit.history import DAEMON, Line, Writer, merged
from tests.audit.tape import Tape, TapedSocket, now_us
from tests.kills import bare, library

if TYPE_CHECKING:
    from pathlib import Path

    from tests.audit.auditor import Account

BACKOFF_MS = [60, 120, 240]
MAX_ATTEMPTS = 4
SETTINGS = {
    "groups.lease": "1s",
    "groups.backoff": "[60ms, 120ms, 240ms]",
    "groups.max_attempts": MAX_ATTEMPTS,
    "groups.leases_per_session": 8,
    "broker.restart_grace": "60ms",
    "limits.max_message": "64KiB",
    "limits.max_block": "128KiB",
    "store.segment_bytes": "1MiB",
    "store.max_bytes": "512MiB",
}
LIMITS = {
    "backoff_ms": BACKOFF_MS,
    "max_attempts": MAX_ATTEMPTS,
    "leases_per_session": 8,
    "max_out": 1_000_000,
    "max_handling_ms": 30_000,
    "seen_within_ms": 60_000,
    "live_first_ms": 3_000,
}
DRAIN_S = 60.0
LOOK_S = 0.1


class NotDrained(Exception):
    """Something did not end although nothing went wrong any more."""


class ClientFailed(Exception):
    """A client met what it must never meet: a refusal for good, an answer without sense."""


class World:
    """`start` it, let things happen (`kill`, `stop_for`), `drain` it, ask for the `account`."""

    def __init__(self, home: Path, seed: int) -> None:
        self.daemon = DaemonProcess(home, SETTINGS)
        self.seed = seed
        self.boot = 0
        self.clients: list[Any] = []
        self._groups = [bare.Consumer.group, library.Worker.group]
        self._events: list[Line] = []
        self._run = Writer(self._events.append, now_us)
        self._operator = Tape("operator")
        self._context = zmq.Context()
        self._passed = threading.Event()
        self._run.event("limits", **LIMITS)

    def serve(self) -> None:
        self.boot = self.daemon.start()["boot"]
        self._run.event("start", boot=self.boot)

    def join(self, url: str) -> None:
        """All clients, through `url`."""
        self._run.event("faults", on=True)
        seed = self.seed
        self.clients = [
            bare.Lone(url, "lone", seed),
            bare.Sequencer(url, "sequencer", seed),
            bare.Consumer(url, "anna", seed),
            bare.Consumer(url, "ben", seed),
            library.Pusher(url, "pusher", seed),
            library.Worker(url, "carla", seed),
            library.Worker(url, "dimitri", seed),
        ]
        for client in self.clients:
            client.start()

    def join_slow(self, url: str) -> None:
        """A group with little to do and slow handlers: it needs boots that last."""
        self._groups.append(bare.SlowConsumer.group)
        slow = [
            bare.Trickle(url, "trickle", self.seed),
            bare.SlowConsumer(url, "emma", self.seed),
            bare.SlowConsumer(url, "felix", self.seed),
            library.SlowWorker(url, "gina", self.seed),
            library.SlowWorker(url, "hugo", self.seed),
        ]
        self.clients += slow
        for client in slow:
            client.start()

    # ---- what goes wrong

    def wait(self, seconds: float) -> None:
        """While the clients work; whoever has failed ends the run."""
        self._passed.wait(seconds)
        if not self.daemon.running:
            raise NotReady(f"the daemon ended by itself: {self.daemon.log()[-400:]}")
        for client in self.clients:
            if client.error is not None:
                raise ClientFailed(f"{client.name}: {client.error!r}") from client.error

    def kill(self) -> None:
        self._run.event("kill", who=DAEMON)
        self.daemon.kill()

    def stop_for(self, seconds: float) -> None:
        """The process stands still, as in a frozen machine."""
        self._run.event("stop", who=DAEMON)
        self.daemon.signal(signal.SIGSTOP)
        self._passed.wait(seconds)
        self.daemon.signal(signal.SIGCONT)
        self._run.event("cont", who=DAEMON)

    # ---- the end

    def drain(self) -> None:
        """No more faults and no more pushes; wait until every message has ended."""
        self._run.event("faults", on=False)
        for client in self.clients:
            client.closing = True
        end_us = now_us() + int(DRAIN_S * 1e6)
        while not self._is_drained():
            if now_us() > end_us:
                raise NotDrained(f"left: {[self._counts(group) for group in self._groups]}")
            self.wait(LOOK_S)
        for client in self.clients:
            client.finish()
        self._read_all()
        for group in self._groups:
            self._list_dead(group)
            self._counts(group)
        self._run.event("end", drained=True)

    def _is_drained(self) -> bool:
        if any(isinstance(one, bare.Sequencer) and one.window for one in self.clients):
            return False
        if any(isinstance(one, library.Pusher) and one.is_alive() for one in self.clients):
            return False
        counts = [self._counts(group) for group in self._groups]
        return not any(one[key] for one in counts for key in ("waiting", "out", "deferred"))

    def _ask(self, op: str, **fields: Any) -> dict[str, Any]:
        peer = Peer(self._context, self.daemon.url)
        peer.socket = TapedSocket(peer.socket, self._operator)
        try:
            return peer.ask(op, **fields).map
        finally:
            peer.close()

    def _counts(self, group: str) -> dict[str, int]:
        """Before anybody has polled for it there is no group, and so nothing has ended."""
        try:
            return self._ask("group", group=group)
        except (Refused, NoAnswer):
            return {"waiting": 1, "out": 0, "deferred": 0}

    def _list_dead(self, group: str) -> None:
        more, after = True, 0
        while more:
            page = self._ask("parked", group=group, lane="dead", after=after, limit=200)
            after = page["parked"][-1]["to"] if page["parked"] else after
            more = page["more"]

    def _read_all(self) -> None:
        end = self._ask("status")["store"]["end"]
        at = self._ask("status")["store"]["start"]
        while at < end:
            answer = self._ask("read", topics=["*"], **{"from": at}, until=end, limit=5_000)
            at = answer["next"]

    def lines(self) -> list[Line]:
        tapes = [client.tape for client in self.clients] + [self._operator]
        return merged(self._events, *(tape.lines() for tape in tapes))

    def account(self, lines: list[Line]) -> Account:
        return audit(lines)

    def close(self) -> None:
        for client in self.clients:
            if isinstance(client, library.LibraryClient):
                client.over.set()
                client.client.stop()
                client.client.close(0)
            else:
                client._over.set()
        for client in self.clients:
            client.join(10)
        self.daemon.stop()
        self._context.destroy(linger=0)
