"""What waits: pushes by their bytes, other requests by connection."""

from laybyd.frontend.pending import REQUEST_BYTES, REQUESTS_BYTES, Pending
from laybyd.wire.limits import LARGE_MAP_BYTES

LARGE = LARGE_MAP_BYTES - REQUEST_BYTES


def flooded() -> Pending:
    """One connection has all that may wait."""
    pending = Pending(0)
    while pending.request(b"flood", LARGE):
        pass
    return pending


def test_pushes_are_bound_together_and_those_above_the_bound_count_until_they_are_done():
    pending = Pending(1_000)
    assert pending.push(600)
    assert pending.push(400)
    assert not pending.push(1)
    pending.push_done(400)
    pending.push_done(1)
    assert pending.push(400)
    assert not pending.push(1)


def test_one_connection_has_no_more_waiting_than_all_may():
    pending = Pending(0)
    taken = sum(pending.request(b"flood", LARGE) for _ in range(1_000))
    assert taken == REQUESTS_BYTES // LARGE_MAP_BYTES


def test_small_requests_count_for_what_they_cost_in_memory():
    pending = Pending(0)
    taken = sum(pending.request(b"flood", 20) for _ in range(100_000))
    assert taken == REQUESTS_BYTES // (20 + REQUEST_BYTES)


def test_beside_a_flood_everybody_has_one_largest_request():
    pending = flooded()
    for n in range(100):
        assert pending.request(b"%d" % n, LARGE)
        assert not pending.request(b"%d" % n, 1)


def test_beside_a_flood_small_requests_wait_together():
    pending = flooded()
    taken = sum(pending.request(b"other", 100) for _ in range(1_000))
    assert taken == LARGE_MAP_BYTES // (100 + REQUEST_BYTES)


def test_what_is_done_makes_room_and_is_forgotten():
    pending = flooded()
    for _ in range(REQUESTS_BYTES // LARGE_MAP_BYTES):
        pending.request_done(b"flood")
    assert pending.request(b"other", LARGE)
    assert list(pending._shares) == [b"other"]
    assert pending._size == LARGE_MAP_BYTES


def test_what_was_refused_is_not_waited_for():
    pending = flooded()
    assert not pending.request(b"flood", 1)
    pending.request_done(b"flood")
    assert pending.request(b"flood", LARGE)
    assert not pending.request(b"flood", LARGE)
