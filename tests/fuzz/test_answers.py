"""Mutated answers: the client raises its own errors only and goes on; and each check bites."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from layby._lease import Lease
from layby._link import NEVER, Link
from layby._session import Session
from tests.fuzz import answers
from tests.fuzz.runs import run

if TYPE_CHECKING:
    from collections.abc import Callable

COUNT = 20_000
ONCE_FAILED = (1, 2, 3, 7, 15, 105)
"""Seeds that found: a topic that is no text, a push nobody heard of again, limits that are none,
a position that is no number, a wait of fifty days."""


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_mutated_answers():
    account = run("client", answers.played, range(1_000, 1_000 + COUNT // answers.VECTORS))
    assert account.failures == []
    assert account.count >= COUNT


@pytest.mark.slow
@pytest.mark.parametrize("seed", ONCE_FAILED)
def test_what_failed_once(seed: int):
    assert answers.played(seed).failures == []


# ---- what a planted bug looks like --------------------------------------------------------------


def _leaking(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an answer breaks comes out of `receive`."""
    monkeypatch.setattr(Link, "receive", lambda self, frames, now: self._dispatch(
        answers.Answer(answers.msgpack.unpackb(bytes(frames[0])), frames[1:]), now))  # fmt: skip


def _trusting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user gets what the broker said, unchecked."""
    real = Lease.__init__

    def init(self: Any, fields: Any, block: Any, boot: int, now: float) -> None:
        real(self, fields, block, boot, now)
        self._history = fields.get("history") or ()

    monkeypatch.setattr(Lease, "__init__", init)
    monkeypatch.setattr(Lease, "history", lambda self, at: [n["at_us"] for n in self._history[at]])


def _stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    """A poll whose answer made no sense is waited for, for ever: it is not even sent again."""
    answered, send = Session._answered, Session._send
    stuck: set[Any] = set()

    def answered_or_stuck(self: Any, poll: Any, request: int, answer: Any, now: float) -> None:
        if answer.ok and type(answer.fields.get("refused")) is not list:
            self._link.drop(request)
            stuck.add(poll)
            poll.deadline = poll.parked_at = NEVER
            return
        answered(self, poll, request, answer, now)

    def send_unless_stuck(self: Any, poll: Any, now: float) -> None:
        if poll not in stuck:
            send(self, poll, now)

    monkeypatch.setattr(Session, "_answered", answered_or_stuck)
    monkeypatch.setattr(Session, "_send", send_unless_stuck)


PLANTED = {
    "receive raises": (_leaking, ""),
    "attributes raise": (_trusting, "Error"),
    "a poll is stuck": (_stuck, "gets nothing any more"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("plant", "said"), PLANTED.values(), ids=PLANTED.keys())
def test_a_planted_bug_is_found(
    monkeypatch: pytest.MonkeyPatch, plant: Callable[[pytest.MonkeyPatch], None], said: str
):
    plant(monkeypatch)
    found = [one["what"] for seed in range(1, 13) for one in answers.played(seed).failures]
    assert found
    assert any(said in what for what in found), found
