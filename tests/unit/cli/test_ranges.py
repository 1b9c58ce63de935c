from __future__ import annotations

from layby.cli.asking import matcher
from layby.cli.ranges import PAIRS_PER_REQUEST, in_requests, merged, pairs_of


def test_ranges_are_merged() -> None:
    assert merged([(5, 6), (1, 2), (3, 3), (6, 9), (20, 20)]) == [(1, 3), (5, 9), (20, 20)]
    assert merged([]) == []


def test_ranges_go_in_requests_of_a_bounded_size() -> None:
    pairs = [(n, n) for n in range(1, 2 * PAIRS_PER_REQUEST + 2)]
    requests = list(in_requests(pairs))
    assert [len(flat) for flat in requests] == [2 * PAIRS_PER_REQUEST] * 2 + [2]
    assert [pair for flat in requests for pair in pairs_of(flat)] == pairs


def test_a_full_request_is_below_the_limit() -> None:
    import msgpack

    far = (1 << 53) - 1
    flat = next(iter(in_requests([(far, far)] * PAIRS_PER_REQUEST)))
    fields = {"op": "retry", "id": far, "group": "g" * 200, "lane": "deferred", "ranges": flat}
    assert len(msgpack.packb(fields)) <= 4_096


def test_only_the_star_is_special_in_a_pattern() -> None:
    fits = matcher(("app.*", "x?"))
    assert [fits(name) for name in ("app.web", "app", "x?", "xy", "zapp.web")] == [
        True,
        False,
        True,
        False,
        False,
    ]
    assert matcher(())("anything")
