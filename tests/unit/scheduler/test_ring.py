"""The ring keeps what is newest within its bytes."""

from laybyd.scheduler.ring import ENTRY_BYTES, Ring


def test_gives_back_what_was_added():
    ring = Ring(1_000)
    ring.add(1, b"one", 3)
    assert ring.get(1) == b"one"
    assert ring.get(2) is None


def test_forgets_the_oldest_first_and_stays_within_its_bytes():
    ring = Ring(2 * (4 + ENTRY_BYTES))
    for first in range(1, 6):
        ring.add(first, b"1234", 4)
    assert [first for first in range(1, 6) if ring.get(first)] == [4, 5]
    assert ring.used_bytes == 2 * (4 + ENTRY_BYTES)


def test_a_body_larger_than_the_ring_is_not_kept():
    ring = Ring(1_000)
    ring.add(1, b"x" * 1_001, 1_001)
    assert ring.get(1) is None
    assert ring.used_bytes == 0


def test_many_small_blocks_are_counted_at_what_they_cost():
    ring = Ring(1 << 20)
    for first in range(10_000):
        ring.add(first, b"x" * 57, 57)
    assert len(ring._blocks) <= 2_048
