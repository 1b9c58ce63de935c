"""What every simulated client does: ask, wait, give up, connect again, stand still, die.

Owns requests under way. Knows nothing of what is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from laybyd.core.types import Caller
from tests.simulation.network import Answer, Network
from tests.simulation.world import World

NOBODY = Caller(b"")
"""Requests are written without a caller; the network puts in who it was."""


class Client:
    def __init__(self, world: World, network: Network, name: str) -> None:
        self.world = world
        self.name = name
        self.alive = True
        self._network = network
        self._life = 0
        self._frozen_until = 0
        self._requests = 0
        self._asked: dict[int, Callable[[Answer], None]] = {}
        self._connection = network.connect(name, self._receive)

    @property
    def label(self) -> str:
        """Who it is in this life."""
        return f"{self.name}.{self._life}"

    # ---- asking -----------------------------------------------------------------------------

    def ask(
        self,
        event: Any,
        patience_us: int,
        answered: Callable[[Answer], None],
        given_up: Callable[[], None],
    ) -> int:
        """Exactly one of the two is called, once; neither if this life ends before."""
        request = self.tell(event)
        self._asked[request] = answered
        self.later(patience_us, self._give_up, request, given_up)
        return request

    def tell(self, event: Any) -> int:
        self._requests += 1
        self._network.witness.sent(self.name, self.label, self._requests, event)
        self._connection.send(event, self._requests)
        return self._requests

    def forget(self, request: int | None) -> None:
        if request is not None:
            self._asked.pop(request, None)

    def unasked(self, answer: Answer) -> None:
        """An answer to no request of ours: a confirm, or a late one."""

    def _give_up(self, request: int, given_up: Callable[[], None]) -> None:
        if self._asked.pop(request, None) is not None:
            self._network.witness.given_up(self.name, request)
            given_up()

    def _receive(self, answer: Answer) -> None:
        self.later(0, self._take, answer)

    def _take(self, answer: Answer) -> None:
        self._network.witness.heard(self.name, answer)
        answered = self._asked.pop(answer.effect.caller.id, None)
        if answered is None:
            self.unasked(answer)
        else:
            answered(answer)

    # ---- living -----------------------------------------------------------------------------

    def later(self, delay_us: int, call: Callable[..., None], *args: object) -> None:
        """In this life only, and not while standing still."""
        self.world.after(delay_us, self._wake, self._life, call, args)

    def _wake(self, life: int, call: Callable[..., None], args: tuple[object, ...]) -> None:
        if life != self._life:
            return
        if self.world.now < self._frozen_until:
            self.world.after(self._frozen_until - self.world.now, self._wake, life, call, args)
            return
        call(*args)

    def freeze(self, duration_us: int) -> None:
        self._frozen_until = self.world.now + duration_us

    def die(self) -> None:
        self._network.witness.gone(self.name, self.label)
        self._life += 1
        self.alive = False
        self._asked.clear()
        self._network.cut(self._connection)

    def live_again(self) -> None:
        self.alive = True
        self._frozen_until = 0
        self.reconnect()

    def reconnect(self) -> None:
        self._network.cut(self._connection)
        self._connection = self._network.connect(self.name, self._receive)
