"""Effects of the core -> frames of an answer.

Owns the maps of answers and their bound of 64 KiB. Must never know sockets, or why an answer is
what it is. Blocks are passed through as they are given (bytes or received frames).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, repeat
from typing import Any, NamedTuple

import msgpack

from laybyd.core.effects import Confirm, Deliver, Effect, Grant, Lost, ReadOut, Refuse, Reply
from laybyd.core.types import Caller, Piece
from laybyd.wire.codes import CODES
from laybyd.wire.decode import Hello, Refusal
from laybyd.wire.fields import clipped
from laybyd.wire.limits import ANSWER_HISTORY, ANSWER_MAP_BYTES, ANSWER_REASON_BYTES, Limits
from laybyd.wire.operate import settings_to_wire

PROTOCOL = 1

Blocks = Sequence[object]


class Greeting(NamedTuple):
    """What hello tells of this broker."""

    server: str
    store: bytes
    epoch: int
    boot: int
    limits: Limits = Limits()
    features: tuple[str, ...] = ()


# ---- parts ------------------------------------------------------------------------------------


def _lost(refused: Iterable[Lost]) -> list[dict[str, object]]:
    """An extend names messages, no lease."""
    return [
        ({"lease": lost.lease} if lost.lease else {})
        | {"ranges": _flat(lost.ranges), "code": lost.code}
        for lost in refused
    ]


def _refused(value: object) -> object:
    """What a settle or an extend was refused. `status` has counters under the same name."""
    if isinstance(value, tuple) and all(isinstance(lost, Lost) for lost in value):
        return _lost(value)
    return value


def _flat(pairs: Iterable[tuple[int, int]]) -> list[int]:
    return [position for pair in pairs for position in pair]


def _head(caller: Caller, boot: int) -> dict[str, Any]:
    head: dict[str, Any] = {"ok": True, "boot": boot}
    if caller.id is not None:
        head["id"] = caller.id
    return head


def _ranges(pieces: Iterable[Piece]) -> list[int]:
    """[from, to, ...]; pieces that follow each other are one range."""
    ranges: list[int] = []
    for piece in pieces:
        if ranges and ranges[-1] + 1 == piece.first:
            ranges[-1] = piece.last
        else:
            ranges += (piece.first, piece.last)
    return ranges


def _endless(at_us: Iterable[int]) -> Iterable[int]:
    """A cut answer has more times than blocks; one without times has zeros."""
    return chain(at_us, repeat(0))


def _frames(caller: Caller, packed: bytes, blocks: Blocks = ()) -> list[Any]:
    return [caller.peer, *caller.envelope, packed, *blocks]


# ---- one kind of answer each ------------------------------------------------------------------


def _refuse(effect: Refuse, _: Blocks, boot: int) -> list[Any]:
    code = CODES[effect.code]
    answer = {
        "ok": False,
        "boot": boot,
        "code": code.code,
        "fault": code.fault,
        "retryable": code.retryable,
        "retry_ms": effect.retry_ms,
        "text": effect.text,
        **effect.fields,
    }
    if effect.caller.id is not None:
        answer["id"] = effect.caller.id
    return _frames(effect.caller, msgpack.packb(answer))


def _confirm(effect: Confirm, _: Blocks, boot: int) -> list[Any]:
    answer = {
        "ok": True,
        "op": "confirm",
        "boot": boot,
        "producer": effect.producer,
        "from": effect.first_seq,
        "upto": effect.last_seq,
        "first": effect.positions,
    }
    return _frames(effect.caller, msgpack.packb(answer))


def _deliver(effect: Deliver, blocks: Blocks, boot: int) -> list[Any]:
    leases = [_lease(grant) for grant in effect.leases]
    answer = _head(effect.caller, boot)
    answer |= {"n": effect.n, "leases": leases, "refused": _lost(effect.refused)}
    if effect.why:
        answer["why"] = effect.why
    else:
        answer["hand_back_ms"] = effect.hand_back_ms
    packed = msgpack.packb(answer)
    for key in ("history", "deliveries", "attempts"):
        if len(packed) <= ANSWER_MAP_BYTES:
            break
        for lease in leases:
            lease.pop(key, None)
        packed = msgpack.packb(answer)
    return _frames(effect.caller, packed, blocks)


def _lease(grant: Grant) -> dict[str, object]:
    lease: dict[str, object] = {
        "lease": grant.lease,
        "topic": grant.topic,
        "lane": grant.lane,
        "grant": grant.number,
        "lease_ms": grant.lease_ms,
        "ranges": _ranges(grant.pieces),
        "at_us": grant.at_us,
    }
    if grant.alone:
        lease["alone"] = True
    if any(grant.attempts):
        lease["attempts"] = grant.attempts
    if any(times != 1 for times in grant.deliveries):
        lease["deliveries"] = grant.deliveries
    if any(grant.history):
        lease["history"] = [_history(lines) for lines in grant.history]
    return lease


def _history(lines: Sequence[tuple[int, str, str, bool]]) -> list[dict[str, object]]:
    return [
        {
            "at_us": at_us,
            "reason": clipped(reason, ANSWER_REASON_BYTES),
            "consumer": consumer,
            "counted": counted,
        }
        for at_us, reason, consumer, counted in lines[-ANSWER_HISTORY:]
    ]


def _read_out(effect: ReadOut, blocks: Blocks, boot: int) -> list[Any]:
    answer = _head(effect.caller, boot)
    answer["next"] = effect.next
    answer["blocks"] = [
        {"topic": topic, "ranges": _ranges(pieces), "at_us": at_us}
        for (topic, pieces), at_us in zip(effect.blocks, _endless(effect.at_us), strict=False)
    ]
    return _frames(effect.caller, msgpack.packb(answer), blocks)


def _reply(effect: Reply, blocks: Blocks, boot: int) -> list[Any]:
    """A page too large for one map is cut: its reader goes on after the last entry."""
    answer = _head(effect.caller, boot)
    for key, value in effect.fields.items():
        translate = _TRANSLATED.get(key)
        answer[key] = translate(value) if translate else value
    packed = msgpack.packb(answer)
    while len(packed) > ANSWER_MAP_BYTES and (key := _longest_page(answer)):
        page = answer[key]
        kept = max(1, len(page) * ANSWER_MAP_BYTES // len(packed) * 9 // 10)
        answer |= {key: page[:kept], "more": True}
        blocks = blocks[:kept]
        packed = msgpack.packb(answer)
    return _frames(effect.caller, packed, blocks)


def _longest_page(answer: dict[str, Any]) -> str:
    """The key of the list of maps with the most entries, of more than one; "" if there is none."""
    pages = {
        key: len(value)
        for key, value in answer.items()
        if key not in _NEVER_CUT and _is_page(value)
    }
    return max(pages, key=lambda key: pages[key], default="")


def _is_page(value: object) -> bool:
    return isinstance(value, list | tuple) and len(value) > 1 and isinstance(value[0], Mapping)


_NEVER_CUT = frozenset({"refused"})

_TRANSLATED: dict[str, Callable[[Any], object]] = {
    "missing": _flat,
    "refused": _refused,
    "settings": settings_to_wire,
}
"""Fields of a Reply that the core has in its own words; all others are as on the wire."""


# ---- the way in ------------------------------------------------------------------------------

_MAKERS: dict[type, Callable[[Any, Blocks, int], list[Any]]] = {
    Refuse: _refuse,
    Confirm: _confirm,
    Deliver: _deliver,
    ReadOut: _read_out,
    Reply: _reply,
}


def encode(effect: Effect, blocks: Blocks, boot: int) -> list[Any]:
    """The frames of one answer, routing id first; `blocks` are those of the effect, in order."""
    make = _MAKERS.get(type(effect))
    if make is None:
        raise TypeError(f"no answer to a client: {type(effect).__name__}")
    return make(effect, blocks, boot)


def encode_refusal(refusal: Refusal, boot: int) -> list[Any]:
    effect = Refuse(refusal.caller, refusal.code, refusal.text, refusal.retry_ms, refusal.fields)
    return _refuse(effect, (), boot)


def encode_hello(hello: Hello, greeting: Greeting) -> list[Any]:
    fields = {
        "version": PROTOCOL,
        "server": greeting.server,
        "store": greeting.store,
        "epoch": greeting.epoch,
        "limits": greeting.limits._asdict(),
        "features": list(greeting.features),
    }
    answer = _head(hello.caller, greeting.boot) | fields
    return _frames(hello.caller, msgpack.packb(answer))
