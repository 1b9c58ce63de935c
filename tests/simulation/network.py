"""Connections that delay, lose and break, but keep their order, as TCP does.

Owns what is on the wire. An answer to a connection that is gone is not sent, and the broker is
told so; a restart of the broker renames every connection, and may take what was under way with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from laybyd.core.events import Operate, Poll, Push
from tests.simulation.world import World


class Answer(NamedTuple):
    """What a client sees: the boot that speaks, the effect, and its leases' messages."""

    boot: int
    effect: Any
    blocks: tuple[tuple[int, ...], ...] = ()


class Faults(NamedTuple):
    """Chances per message, and the mean delay."""

    lose: float
    repeat: float
    delay_us: int


class Witness:
    """Who writes down what clients do and see; this one does not."""

    def sent(self, name: str, label: str, request: int, event: Any) -> None: ...
    def heard(self, name: str, answer: Answer) -> None: ...
    def given_up(self, name: str, request: int) -> None: ...
    def gone(self, name: str, label: str) -> None: ...


class Connection:
    """One end of a client: requests go out in order, answers come in order."""

    def __init__(self, network: Network, name: str, receive: Callable[[Answer], None]) -> None:
        self.name = name
        self.open = True
        self.peer = b""
        self.number = 0
        self._network = network
        self._receive = receive
        self._ready_out = 0
        self._ready_in = 0

    def send(self, event: Any, request: int) -> None:
        self._ready_out = self._network.carry_out(self, event, request, self._ready_out)

    def arrive(self, answer: Answer) -> None:
        if self.open:
            self._receive(answer)

    def answer(self, answer: Answer) -> None:
        self._ready_in = self._network.carry_in(self, answer, self._ready_in)


class Network:
    """`deliver` takes an event that has arrived, with the connection's name in this boot."""

    def __init__(self, world: World, faults: Faults) -> None:
        self.faults = faults
        self.witness = Witness()
        self.deliver: Callable[[Any, bytes, int], None] = lambda event, peer, request: None
        self._world = world
        self._peers: dict[bytes, Connection] = {}
        self._made = 0
        self._epoch = 0

    def connect(self, name: str, receive: Callable[[Answer], None]) -> Connection:
        connection = Connection(self, name, receive)
        self._name(connection)
        return connection

    def cut(self, connection: Connection) -> None:
        connection.open = False
        self._peers.pop(connection.peer, None)

    def restart(self) -> None:
        """Every connection is made anew by its client; the broker cannot tell which was which."""
        self._epoch += 1
        connections = list(self._peers.values())
        self._peers.clear()
        for connection in connections:
            self._name(connection)

    def send(self, peer: bytes, answer: Answer) -> bool:
        connection = self._peers.get(peer)
        if connection is None:
            return False
        connection.answer(answer)
        return True

    # ---- under way --------------------------------------------------------------------------

    def carry_out(self, connection: Connection, event: Any, request: int, ready: int) -> int:
        if not connection.open or self._world.chance(self.faults.lose):
            return ready
        ready = self._arrival(ready)
        self._world.after(
            ready - self._world.now, self._arrived, connection, event, request, self._epoch
        )
        if self._world.chance(self.faults.repeat) and _may_repeat(event):
            self._world.after(
                ready - self._world.now, self._arrived, connection, event, request, self._epoch
            )
        return ready

    def carry_in(self, connection: Connection, answer: Answer, ready: int) -> int:
        if self._world.chance(self.faults.lose):
            return ready
        ready = self._arrival(ready)
        self._world.after(ready - self._world.now, connection.arrive, answer)
        return ready

    def _arrived(self, connection: Connection, event: Any, request: int, epoch: int) -> None:
        """What was sent before a restart is either gone or was still with the client."""
        if connection.open and (epoch == self._epoch or self._world.chance(0.5)):
            self.deliver(event, connection.peer, request)

    def _arrival(self, ready: int) -> int:
        return max(ready, self._world.now + self._world.pause(self.faults.delay_us))

    def _name(self, connection: Connection) -> None:
        self._made += 1
        connection.number = self._made
        connection.peer = b"%s.%d" % (connection.name.encode(), self._made)
        self._peers[connection.peer] = connection


def _may_repeat(event: Any) -> bool:
    """A poll is repeated by its client, as a new request; an unnumbered push by nobody, for it
    would be stored twice, and rightly so; nor is a topic deleted twice: it may be there again."""
    if isinstance(event, Operate) and event.verb == "topic_delete":
        return False
    return not isinstance(event, Poll) and not (isinstance(event, Push) and event.seq is None)
