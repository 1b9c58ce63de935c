"""What waits for a peer: in order, bounded, and gone with the peer."""

import pytest

from laybyd.frontend import backlog
from laybyd.frontend.backlog import Backlog


class Peers:
    """A socket that takes a number of answers and then is full; peers may be gone."""

    def __init__(self) -> None:
        self.room = 0
        self.gone: set[bytes] = set()
        self.taken: list[tuple[bytes, bytes]] = []

    def send(self, answer) -> bool:
        if answer[0] in self.gone:
            raise KeyError(answer[0])
        if not self.room:
            return False
        self.room -= 1
        self.taken.append(tuple(answer))
        return True


@pytest.fixture
def peers():
    return Peers()


def test_answers_go_in_their_order_as_room_comes(peers):
    waiting = Backlog(peers.send)
    for n in range(3):
        waiting.add((b"ann", b"%d" % n))
    peers.room = 2
    assert waiting.retry() == 0
    assert waiting.holds(b"ann")
    peers.room = 2
    waiting.retry()
    assert peers.taken == [(b"ann", b"0"), (b"ann", b"1"), (b"ann", b"2")]
    assert not waiting


def test_one_full_peer_does_not_hold_up_another(peers):
    waiting = Backlog(peers.send)
    waiting.add((b"ann", b"1"))
    waiting.add((b"bob", b"1"))
    peers.gone.add(b"ann")
    peers.room = 1
    assert waiting.retry() == 1
    assert peers.taken == [(b"bob", b"1")]
    assert not waiting


def test_a_peer_that_never_reads_costs_no_more_than_its_share(peers, monkeypatch):
    monkeypatch.setattr(backlog, "PEER_BYTES", 20)
    waiting = Backlog(peers.send)
    assert waiting.add((b"ann", b"x" * 10))
    assert not waiting.add((b"ann", b"x" * 10))
    assert waiting.add((b"bob", b"x" * 10))


def test_all_peers_together_are_bounded_and_room_comes_back(peers, monkeypatch):
    monkeypatch.setattr(backlog, "ALL_BYTES", 20)
    waiting = Backlog(peers.send)
    assert waiting.add((b"ann", b"x" * 10))
    assert not waiting.add((b"bob", b"x" * 10))
    peers.room = 1
    waiting.retry()
    assert waiting.add((b"bob", b"x" * 10))
