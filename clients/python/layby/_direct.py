"""One message, pushed and waited for, over a connection that its caller drives itself.

Owns that connection and the numbers used on it. Must never resend, wait out a refusal, or know
futures and timers: what is not plainly confirmed or refused is left, with the number it had, to
the machinery that is made for trouble. The number makes that safe: it is stored once.

It is here because a push through the I/O thread costs two hand-overs between threads, which is a
quarter of the time of a lone push.
"""

from __future__ import annotations

import os
import threading
import time
from itertools import count

import zmq

from layby import _wire
from layby._fields import numbers
from layby._sequence import Lone, Number
from layby._socket import Context, Dealer
from layby._wire import Answer
from layby.errors import Damaged, Refused, refused

PATIENCE_S = 0.5
"""Then the I/O thread may wait for the confirm: a flush rarely takes so long."""


class Direct:
    """Thread-safe: whoever finds it in use goes another way."""

    def __init__(self, context: Context, endpoint: str) -> None:
        self._context = context
        self._endpoint = endpoint
        self._mutex = threading.Lock()
        self._dealer: Dealer | None = None
        self._ids = count(1)
        self._closed = False
        self._renew()

    def _renew(self) -> None:
        """A number is never used again for other bytes; under a new id none was used."""
        self._last = Number(os.urandom(16), 0)

    def push(self, topic: str, lone: Lone, timeout_s: float) -> int | Number | None:
        """The position; or the number of a push of which nothing was heard; or None when it is
        surely not stored (no connection yet, in use, refused for now). Raises Refused when it
        never will be."""
        if not self._mutex.acquire(blocking=False):
            return None
        try:
            return self._push(topic, lone, timeout_s)
        except Refused:
            raise
        except BaseException:
            self._disconnect()
            raise
        finally:
            self._mutex.release()

    def _push(self, topic: str, lone: Lone, timeout_s: float) -> int | Number | None:
        request = next(self._ids)
        if self._closed or not self._sent(topic, lone, request):
            return None
        answer = self._answer(request, min(timeout_s, PATIENCE_S))
        position = None if answer is None else _position(answer)
        if position is not None:
            return position
        if answer is None or answer.ok:
            unheard = self._last
            self._disconnect()
            return unheard
        self._renew()
        refusal = refused(answer.fields)
        if refusal.retryable:
            return None
        raise refusal

    def _sent(self, topic: str, lone: Lone, request: int) -> bool:
        if self._dealer is None:
            self._dealer = Dealer(self._context, self._endpoint)
            return False
        producer, seq = self._last
        number = Number(producer, seq + 1)
        fields = {"topic": topic, "producer": producer, "seq": number.seq, **lone.fields}
        if not self._dealer.send(_wire.encode("push", request, fields)):
            return False
        self._last = number
        return True

    def _answer(self, request: int, patience_s: float) -> Answer | None:
        """What is said of this push; None when the connection ends or nothing comes."""
        assert self._dealer is not None
        until = time.monotonic() + patience_s
        watched = [(self._dealer.socket, zmq.POLLIN), (self._dealer.monitor, zmq.POLLIN)]
        while (left_s := until - time.monotonic()) > 0:
            came = zmq.zmq_poll(watched, int(left_s * 1e3) + 1)
            while frames := self._dealer.receive():
                answer = _read(frames)
                if answer is not None and self._is_for(request, answer):
                    return answer
            if any(what is self._dealer.monitor for what, _ in came) and self._is_cut():
                return None
        return None

    def _is_cut(self) -> bool:
        assert self._dealer is not None
        return False in self._dealer.changes()

    def _is_for(self, request: int, answer: Answer) -> bool:
        fields = answer.fields
        if fields.get("op") != "confirm":
            return bool(fields.get("id") == request)
        mine = fields.get("producer") == self._last.producer
        return mine and fields.get("from") == fields.get("upto") == self._last.seq

    # ---- the end

    def _disconnect(self) -> None:
        """What is still under way here is of no use to anybody; the numbers go with it."""
        self._renew()
        if self._dealer is not None:
            self._dealer.close()
            self._dealer = None

    def close(self) -> None:
        """Waits for the push under way, PATIENCE_S at most."""
        self._closed = True
        with self._mutex:
            self._disconnect()


def _position(answer: Answer) -> int | None:
    """None when it says no: or when it makes no sense, which says nothing."""
    try:
        return numbers(answer.fields, "first", 1)[0] if answer.ok else None
    except Damaged:
        return None


def _read(frames: _wire.Frames) -> Answer | None:
    try:
        return _wire.decode(frames)
    except Damaged:
        return None
