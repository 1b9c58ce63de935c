"""A tape below the sockets of the Python library's clients.

Owns the one place where it is put: under every socket of a client, told by its context. Must never
change what the library does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from layby._socket import Dealer
from tests.audit.tape import now_us

if TYPE_CHECKING:
    import layby
    from tests.audit.tape import Tape

_tapes: dict[int, tuple[object, Tape]] = {}
"""By the identity of a context, which is kept so that no other gets it."""


def tape_client(client: layby.Client, tape: Tape) -> None:
    """All that it says and hears from now on, over whatever sockets it makes."""
    context = client._io.context
    _tapes[id(context)] = context, tape
    Dealer.send, Dealer.receive = _send, _receive  # type: ignore[method-assign]


_plain_send, _plain_receive = Dealer.send, Dealer.receive


def _tape_of(dealer: Dealer) -> Tape | None:
    return _tapes.get(id(dealer.socket.context), (None, None))[1]


def _send(self: Any, frames: Any) -> bool:
    """What did not fit was not sent; it is offered again, or never."""
    at_us = now_us()
    done = _plain_send(self, frames)
    tape = _tape_of(self)
    if done and tape is not None:
        tape.sent(frames, at_us)
    return done


def _receive(self: Any) -> Any:
    frames = _plain_receive(self)
    tape = _tape_of(self)
    if frames is not None and tape is not None:
        tape.received(frames)
    return frames
