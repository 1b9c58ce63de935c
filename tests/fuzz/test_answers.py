"""Mutated answers, and that each check of them can fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from layby import _link, _sequence
from layby.message import Message
from tests.fuzz import answers
from tests.fuzz.runs import run

if TYPE_CHECKING:
    from collections.abc import Callable

COUNT = 100_000
SEED = 3


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_whatever_a_broker_says_the_client_goes_on():
    account = run("client", answers.played, range(1, 1 + COUNT // answers.VECTORS))
    assert account.failures == []
    assert account.count >= COUNT * 0.9


def _deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """A confirm is taken apart while it is believed."""

    def confirmed(self: Any, answer: Any, now: float) -> None:
        first = int(answer.fields["from"])
        for number, position in enumerate(answer.fields["first"]):
            if (push := self.window.get(first + number)) is not None:
                self._remove(push)
                push.done(int(position))
        self._spoken(now)
        self._settle_down()

    monkeypatch.setattr(_sequence.Sequence, "_confirmed", confirmed)


def _thin_skinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """The I/O thread dies of an answer."""

    def receive(self: Any, frames: Any, now: float) -> None:
        self._dispatch(_link._wire.decode(frames), now)

    monkeypatch.setattr(_link.Link, "receive", receive)


def _leaking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user meets an exception that is not the library's."""
    monkeypatch.setattr(Message, "text", property(lambda self: self.data.decode("utf-16")))


PLANTED = {
    "a confirm half believed": (_deaf, "never ended"),
    "an answer kills": (_thin_skinned, "Error"),
    "a strange exception": (_leaking, "UnicodeDecodeError"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("plant", "said"), PLANTED.values(), ids=PLANTED.keys())
def test_a_planted_bug_is_found(
    monkeypatch: pytest.MonkeyPatch, plant: Callable[[pytest.MonkeyPatch], None], said: str
):
    plant(monkeypatch)
    found = [one["what"] for at in range(SEED, SEED + 8) for one in answers.played(at).failures]
    assert any(said in what for what in found), found
