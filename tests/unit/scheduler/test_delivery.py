"""Answers with blocks: whole, cut, packed, shortened, or not at all when the disk lied."""

import pytest

from laybyd.core.effects import Deliver, Grant, ReadOut, Refuse, Reply
from laybyd.core.events import Shortened, Unmade
from laybyd.core.types import DEAD, DEFERRED, LIVE, Caller, Parked, Piece
from laybyd.scheduler.bodies import Bodies
from laybyd.scheduler.delivery import assemble, needs_state, pieces_of
from laybyd.store.base import NewBlock
from laybyd.store.memory import MemoryStore
from laybyd.wire import block as blocks
from laybyd.wire.block import Item

NOW = 1_700_000_000_000_000
HOUR = 3_600_000_000
CALLER = Caller(b"p")


@pytest.fixture
def store():
    """Positions 1-4: `0` to `3` in one block; 5: alone, three hours later by its own time."""
    store = MemoryStore()
    fence = store.acquire()
    body = blocks.build([Item(b"%d" % n) for n in range(4)], NOW)
    late = blocks.build([Item(b"late", None, None, NOW + 3 * HOUR)], NOW)
    store.append(fence, [NewBlock("app", 4, body), NewBlock("app", 1, late)], NOW)
    return store


@pytest.fixture
def bodies(store):
    return Bodies(store, 1 << 20)


def deliver(*pieces: Piece, **fields) -> Deliver:
    return Deliver(
        CALLER, "g", 1, (Grant(b"lease", "app", LIVE, 1, 1000, False, pieces, **fields),)
    )


def data(block: object) -> list[bytes]:
    return [item.data for item in blocks.split(block)]


def test_a_whole_block_goes_out_as_it_came_in(bodies, store):
    frame = store.read(1)[1]
    made = assemble(bodies, 1, deliver(Piece(1, 4, 1)), {1: frame})
    assert made.outgoing.blocks[0] is frame


def test_a_part_of_a_block_is_cut_and_has_its_own_crc(bodies):
    made = assemble(bodies, 1, deliver(Piece(2, 3, 1)), {})
    (block,) = made.outgoing.blocks
    assert blocks.crc_ok(block)
    assert data(block) == [b"1", b"2"]


def test_pieces_are_packed_into_one_block_in_their_order(bodies):
    made = assemble(bodies, 1, deliver(Piece(3, 4, 1), Piece(1, 1, 1)), {})
    assert data(made.outgoing.blocks[0]) == [b"2", b"3", b"0"]


def test_what_does_not_fit_one_block_is_given_back(bodies):
    effect = deliver(Piece(4, 4, 1), Piece(5, 5, 5), deliveries=(2, 3))
    made = assemble(bodies, 1, effect, {})
    assert made.events == (Shortened("g", b"lease", 1),)
    (grant,) = made.outgoing.effect.leases
    assert grant.pieces == (Piece(4, 4, 1),)
    assert grant.deliveries == (2,)
    assert data(made.outgoing.blocks[0]) == [b"3"]


def test_too_many_bytes_for_one_block_are_given_back(store):
    tight = Bodies(store, max_bytes=100)
    made = assemble(tight, 1, deliver(Piece(1, 4, 1), Piece(5, 5, 5)), {})
    assert made.events == (Shortened("g", b"lease", 1),)


def test_damaged_bytes_are_never_sent(bodies, store):
    store.damage(1)
    effect = deliver(Piece(2, 3, 1))
    made = assemble(bodies, 1, effect, {})
    assert made.outgoing is None
    assert made.events == (Unmade(effect, (1, 4)),)


def test_an_answer_whose_bytes_are_trimmed_is_not_made(bodies, store):
    store.trim(store.acquire(), 5)
    effect = deliver(Piece(2, 3, 1))
    assert assemble(bodies, 1, effect, {}) == (None, (Unmade(effect),))


def test_a_listing_of_what_is_trimmed_may_be_asked_for_again(bodies, store):
    store.trim(store.acquire(), 5)
    dead = Parked(1, 1, 4, "app", 6, 0, 0, 60, 1, in_log=True)
    made = assemble(bodies, 1, Reply(CALLER, {}, ((1, DEAD, dead),)), {})
    refusal = made.outgoing.effect
    assert isinstance(refusal, Refuse)
    assert (refusal.code, refusal.retry_ms) == ("busy", 10)


def test_a_read_stops_before_what_does_not_fit_and_says_where_to_go_on(bodies):
    effect = ReadOut(CALLER, (("app", (Piece(1, 4, 1), Piece(5, 5, 5))),), next=6)
    made = assemble(bodies, 0, effect, {})
    assert made.outgoing.effect.next == 5
    assert data(made.outgoing.blocks[0]) == [b"0", b"1", b"2", b"3"]


def test_a_read_of_damage_is_refused_with_the_way_round_it(bodies, store):
    store.damage(1)
    made = assemble(bodies, 0, ReadOut(CALLER, (("app", (Piece(1, 4, 1),)),), next=5), {})
    refusal = made.outgoing.effect
    assert isinstance(refusal, Refuse)
    assert (refusal.code, refusal.fields) == ("damaged", {"next": 5})


@pytest.mark.parametrize(
    "runs",
    [
        (("app", (Piece(1, 4, 1), Piece(5, 5, 5))),),
        (("app", (Piece(1, 4, 1),)), ("app", (Piece(5, 5, 5),))),
    ],
)
def test_a_read_that_comes_to_damage_answers_what_stands_before_it(bodies, store, runs):
    store.damage(5)
    made = assemble(bodies, 0, ReadOut(CALLER, runs, next=6), {})
    assert data(made.outgoing.blocks[0]) == [b"0", b"1", b"2", b"3"]
    assert made.outgoing.effect.blocks == (("app", (Piece(1, 4, 1),)),)
    assert made.outgoing.effect.next == 5


def test_a_read_of_which_the_first_part_was_trimmed_goes_on_where_the_log_begins(bodies, store):
    store.trim(store.acquire(), 5)
    runs = (("app", (Piece(1, 4, 1),)), ("app", (Piece(5, 5, 5),)))
    made = assemble(bodies, 0, ReadOut(CALLER, runs, next=6), {})
    assert (made.outgoing.effect.blocks, made.outgoing.effect.next) == ((), store.facts().start)
    assert store.facts().start == 5


def test_a_read_passes_over_what_was_trimmed_meanwhile(bodies):
    made = assemble(bodies, 0, ReadOut(CALLER, (("app", (Piece(9, 9, 9),)),), next=10), {})
    assert (made.outgoing.effect.blocks, made.outgoing.effect.next) == ((), 10)


def test_parked_pieces_are_for_the_state_thread():
    assert not needs_state(deliver(Piece(1, 1, 1)))
    assert needs_state(deliver(Piece(1, 1, 1, DEFERRED)))


def test_the_bytes_of_a_record_are_its_own_or_the_logs():
    own = Parked(1, 2, 2, "app", 6, 0, 0, 60, 2)
    in_log = Parked(1, 3, 3, "app", 6, 0, 0, 60, 1, in_log=True)
    reply = Reply(CALLER, {}, ((1, DEAD, own), (1, DEAD, in_log)))
    assert list(pieces_of(reply)) == [Piece(2, 2, 2, DEAD), Piece(3, 3, 1, LIVE)]
