"""Answers that carry blocks: from the core's effects to what the front-end sends.

Owns the assembling of Deliver, ReadOut and Reply. Must never know who may have what (the core
has decided) or how frames look. Runs in the turn when every byte is in the ring, on
the reader thread otherwise, and on the state thread for parked bytes (so that it sees every
commit that was asked for before it).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from laybyd.core.effects import Deliver, Effect, Grant, ReadOut, Refuse, Reply
from laybyd.core.events import Event, Shortened, Unmade
from laybyd.core.types import LIVE, Piece
from laybyd.scheduler.bodies import Bodies, DamagedBody, GoneBody

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


GONE_RETRY_MS = 10


class Outgoing(NamedTuple):
    """One answer for the front-end: the effect, and its blocks in order (bytes or frames)."""

    effect: Effect
    blocks: tuple[object, ...] = ()


class Assembled(NamedTuple):
    """What assembling made: something to send, something the core must know, or both."""

    outgoing: Outgoing | None
    events: tuple[Event, ...] = ()


def pieces_of(effect: Deliver | ReadOut | Reply) -> Iterator[Piece]:
    if isinstance(effect, Deliver):
        for grant in effect.leases:
            yield from grant.pieces
    elif isinstance(effect, ReadOut):
        for _, pieces in effect.blocks:
            yield from pieces
    else:
        for _, lane, record in effect.blocks:
            if record.in_log:
                yield Piece(record.first, record.last, record.block)
            else:
                yield Piece(record.first, record.last, record.block, lane)


def needs_state(effect: Deliver | ReadOut | Reply) -> bool:
    return any(piece.lane != LIVE for piece in pieces_of(effect))


def assemble(
    bodies: Bodies, gid: int, effect: Deliver | ReadOut | Reply, hits: Mapping[int, object]
) -> Assembled:
    if isinstance(effect, Deliver):
        return _deliver(bodies, gid, effect, hits)
    if isinstance(effect, ReadOut):
        return _read_out(bodies, effect, hits)
    return _reply(bodies, effect, hits)


def _deliver(bodies: Bodies, gid: int, effect: Deliver, hits: Mapping[int, object]) -> Assembled:
    blocks: list[object] = []
    grants = []
    events: list[Event] = []
    try:
        for grant in effect.leases:
            block, kept = bodies.packed(gid, grant.pieces, hits)
            if kept < len(grant.pieces):
                events.append(Shortened(effect.group, grant.lease, kept))
                grant = _shorten(grant, kept)
            blocks.append(block)
            grants.append(grant)
    except DamagedBody as damage:
        return Assembled(None, (Unmade(effect, (damage.first, damage.last)),))
    except GoneBody:
        return Assembled(None, (Unmade(effect),))
    return Assembled(Outgoing(effect._replace(leases=tuple(grants)), tuple(blocks)), tuple(events))


def _shorten(grant: Grant, kept: int) -> Grant:
    pieces = grant.pieces[:kept]
    messages = sum(piece.last - piece.first + 1 for piece in pieces)
    return grant._replace(
        pieces=pieces,
        attempts=grant.attempts[:messages],
        deliveries=grant.deliveries[:messages],
        history=grant.history[:messages],
    )


def _read_out(bodies: Bodies, effect: ReadOut, hits: Mapping[int, object]) -> Assembled:
    """As many runs as fit; a shortened one ends the answer and `next` says where to go on. What
    was trimmed meanwhile is passed over: a read holds nothing in the log. What stands before
    damage is answered first; a read that begins with damage is refused with the way round it."""
    blocks: list[object] = []
    runs: list[tuple[str, tuple[Piece, ...]]] = []
    next_position = effect.next
    for topic, pieces in effect.blocks:
        try:
            block, kept = _packed_before_damage(bodies, pieces, hits)
        except DamagedBody as damage:
            if not blocks:
                return _refused_read(effect, damage)
            next_position = pieces[0].first
            break
        except GoneBody as gone:
            next_position = max(gone.start, pieces[0].first + 1)
            break
        blocks.append(block)
        runs.append((topic, pieces[:kept]))
        if kept < len(pieces):
            next_position = pieces[kept].first
            break
    return Assembled(
        Outgoing(effect._replace(blocks=tuple(runs), next=next_position), tuple(blocks))
    )


def _packed_before_damage(
    bodies: Bodies, pieces: tuple[Piece, ...], hits: Mapping[int, object]
) -> tuple[object, int]:
    """Raises DamagedBody when the first of the pieces is damaged already, and GoneBody."""
    try:
        return bodies.packed(0, pieces, hits)
    except DamagedBody as damage:
        whole = [piece for piece in pieces if piece.block < damage.first]
        if not whole:
            raise
        return bodies.packed(0, whole, hits)


def _refused_read(effect: ReadOut, damage: DamagedBody) -> Assembled:
    fields = {"next": damage.last + 1}
    return Assembled(Outgoing(Refuse(effect.caller, "damaged", str(damage), 0, fields)))


def _reply(bodies: Bodies, effect: Reply, hits: Mapping[int, object]) -> Assembled:
    blocks: list[object] = []
    for (gid, _, _), piece in zip(effect.blocks, pieces_of(effect), strict=True):
        try:
            blocks.append(bodies.packed(gid, (piece,), hits)[0])
        except DamagedBody as damage:
            return Assembled(Outgoing(Refuse(effect.caller, "damaged", str(damage))))
        except GoneBody:
            text = "some of the messages were settled and trimmed meanwhile: ask again"
            return Assembled(Outgoing(Refuse(effect.caller, "busy", text, GONE_RETRY_MS)))
    return Assembled(Outgoing(effect, tuple(blocks)))
