"""Leases: what is remembered of those that are over."""

from laybyd.core.leases import ENDED_MAX, ENDED_RANGES_MAX, Lease, Leases, Past
from laybyd.core.live import Span
from laybyd.core.sessions import Session, Settlement, Waiting
from laybyd.core.types import Outcome, Row
from tests.builders import SECOND, a_poll


def a_lease(leases: Leases, messages: int, step: int = 1) -> Lease:
    """Every so many positions one message."""
    session = Session(b"one", 0)
    session.lease_us = SECOND
    row = Row(1, messages * step, "app", 100, 0)
    spans = [Span(at, at, row) for at in range(1, messages * step + 1, step)]
    waiting = Waiting(session, a_poll(), Settlement(), 0, 0)
    lease = Lease(leases.next_id(), waiting, 0, spans=spans)
    leases.add(lease)
    return lease


def remembered(leases: Leases, given: list[Lease]) -> list[bool]:
    return [leases.past(lease.id) is not Past.FORGOTTEN for lease in given]


def test_leases_that_are_over_are_forgotten_in_time():
    leases = Leases(1, 1)
    given = [a_lease(leases, 4) for _ in range(4)]
    for lease in given[:3]:
        leases.end(lease, now=SECOND)
    assert remembered(leases, given[:3]) == [True] * 3
    leases.end(given[3], now=4 * SECOND)
    assert remembered(leases, given) == [False, False, True, True]


def test_the_memory_of_leases_is_bounded_by_their_ranges():
    leases = Leases(1, 1)
    size = ENDED_RANGES_MAX // 8
    light = [a_lease(leases, 1) for _ in range(20)]
    heavy = [a_lease(leases, size, step=2) for _ in range(10)]
    for lease in light + heavy:
        leases.end(lease, now=0)
    assert remembered(leases, light + heavy) == [False] * 22 + [True] * 8


def test_outcomes_that_are_taken_late_weigh_in_the_memory():
    from laybyd.core.intervals import RangeSet

    leases = Leases(1, 1)
    size = ENDED_RANGES_MAX // 4
    given = [a_lease(leases, 2 * size) for _ in range(5)]
    for lease in given:
        leases.end(lease, now=0)
        every_other = RangeSet((at, at) for at in range(1, 2 * size, 2))
        leases.remember(lease.id, Outcome.ACK, every_other)
    leases.end(a_lease(leases, 1), now=0)
    assert remembered(leases, given) == [False, False, True, True, True]


def test_the_memory_of_leases_is_bounded_by_their_number():
    leases = Leases(1, 1)
    given = [a_lease(leases, 1) for _ in range(ENDED_MAX + 1)]
    for lease in given:
        leases.end(lease, now=0)
    assert sum(remembered(leases, given)) == ENDED_MAX
