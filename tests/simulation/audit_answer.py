"""The auditor's opinion of one answer to a poll, as a whole.

Owns what an answer may hold beside its poll. Knows nothing of what became of its messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from laybyd.core.effects import Deliver, Grant
from laybyd.core.events import Poll
from tests.simulation import bodies
from tests.simulation.audit_leases import Lease, session_of
from tests.simulation.audit_log import demand
from tests.simulation.audit_terms import Term
from tests.simulation.world import MS


def positions_of(grant: Grant) -> Iterator[int]:
    for piece in grant.pieces:
        yield from range(piece.first, piece.last + 1)


def brief(grant: Grant) -> str:
    ranges = " ".join(f"{piece.first}..{piece.last}" for piece in grant.pieces)
    return f"grant {grant.number} {grant.lane} {grant.lease.hex()} [{ranges}]"


def check_answer(effect: Deliver, poll: Poll, most: int) -> None:
    leases = effect.leases
    demand(len(leases) <= most, f"{len(leases)} leases in one answer")
    total = sum(1 for grant in leases for _ in positions_of(grant))
    demand(total <= poll.credit, f"{total} messages for a credit of {poll.credit}")
    allowed = max(poll.credit_bytes, bodies.WIDTH)
    demand(total * bodies.WIDTH <= allowed, f"{total} messages, {poll.credit_bytes} bytes")
    for grant in leases:
        demand(
            not grant.alone or len(leases) == 1,
            f"{brief(grant)} is alone, but not in its answer",
        )


def check_repeat(effect: Deliver, poll: Poll, leases: Mapping[bytes, Lease], fresh: int) -> None:
    """The same n again brings the same leases, no mixture."""
    if fresh in (0, len(effect.leases)):
        for grant in effect.leases[fresh:]:
            known = leases[grant.lease]
            same = known.session == session_of(poll)
            demand(same, f"{brief(grant)} belongs to another session")
            extra = set(positions_of(grant)) - known.positions
            demand(not extra, f"{brief(grant)} has grown by {extra}")
    else:
        demand(False, f"{effect} mixes old and new leases")


def check_length(fresh: Iterable[Grant], poll: Poll, terms: Iterable[Term]) -> None:
    """A lease lasts as its poll asks, or as was said of the group when that came."""
    right = {term.settings.lease_us // MS for term in terms}
    if poll.lease_ms is not None:
        right = {poll.lease_ms}
    for grant in fresh:
        lasts = grant.lease_ms in right
        demand(lasts, f"{brief(grant)} lasts {grant.lease_ms} ms, not {sorted(right)}")
