"""A million mutated requests: none gets through what it must not, and each check can fail."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

import msgpack
import pytest

from laybyd.core import effects as fx
from laybyd.core.broker import Broker
from laybyd.wire import decode as decoding
from tests.fuzz import handlers, wire
from tests.fuzz.corpus import by_size, vectors
from tests.fuzz.mutate import Mutator, donors
from tests.fuzz.pace import slowness
from tests.fuzz.runs import run
from tests.fuzz.spans import spans

if TYPE_CHECKING:
    from collections.abc import Callable

COUNT = 1_000_000
STEPPED = 0.15
"""At least this part of the messages is taken by the decoder and reaches the handlers."""


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_a_million_mutated_requests():
    account = run("wire", wire.played, range(1, 1 + COUNT // wire.VECTORS))
    assert account.failures == []
    assert account.count >= COUNT
    assert account.counts["stepped"] > STEPPED * COUNT


# ---- the mutations ------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_messages():
    small, _ = by_size(vectors("requests"))

    def some() -> list[list[bytes]]:
        mutator = Mutator(random.Random(7), donors(small))
        return [mutator.changed(message) for message in small]

    assert some() == some()
    assert some() != small


def test_spans_cover_every_value_of_every_good_map():
    for message in vectors("operators"):
        found = spans(message[0])
        assert found[0].end == len(message[0])
        for span in found[1:]:
            parent = found[span.parent]
            assert parent.body <= span.at < span.end <= parent.end


# ---- what a planted bug looks like --------------------------------------------------------------

SEED = 3


def test_a_world_as_it_is_has_no_failures():
    assert wire.played(SEED).failures == []


def _raising(monkeypatch: pytest.MonkeyPatch) -> None:
    """The front-end's decode lets an exception through."""

    def leaky(frames: Any, limits: Any) -> Any:
        if len(frames) > 1 and b"\xa6status" in bytes(frames[1]):
            raise KeyError("status")
        return decoding.decode(frames, limits)

    monkeypatch.setattr(handlers, "decode", leaky)


def _swallowing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check of a field raises what nobody expects: `decode` calls it internal."""
    spoilt = decoding._OPS["hello"]._replace(max_bytes=None)  # type: ignore[arg-type]
    monkeypatch.setitem(decoding._OPS, "hello", spoilt)


def _stepping(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler asserts something that a stranger can break."""
    real = Broker._read

    def read(self: Any, event: Any, now: int) -> None:
        assert event.limit < 1 << 40
        real(self, event, now)

    monkeypatch.setattr(Broker, "_read", read)


def _forgetting(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer is lost."""
    real = handlers.Handlers._send

    def send(self: Any, outgoing: Any) -> Any:
        return () if isinstance(outgoing.effect, fx.ReadOut) else real(self, outgoing)

    monkeypatch.setattr(handlers.Handlers, "_send", send)


def _coining(monkeypatch: pytest.MonkeyPatch) -> None:
    """A code that is in no list."""
    real = handlers.encode_refusal

    def refusal(refused: Any, boot: int) -> list[Any]:
        frames = real(refused, boot)
        answer = msgpack.unpackb(frames[-1])
        answer["code"] = "very_bad_request" if answer["code"] == "bad_name" else answer["code"]
        return [*frames[:-1], msgpack.packb(answer)]

    monkeypatch.setattr(handlers, "encode_refusal", refusal)


def _dawdling(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that costs more than it may."""
    real = handlers.decode

    def slow(frames: Any, limits: Any) -> Any:
        if len(frames) > 10:
            until = time.thread_time_ns() + int(2 * wire.SLICE_NS * slowness())
            while time.thread_time_ns() < until:
                pass
        return real(frames, limits)

    monkeypatch.setattr(handlers, "decode", slow)
    monkeypatch.setattr(wire, "VECTORS", 100)


def _hoarding(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few bytes cost megabytes."""
    real = wire.decode

    def greedy(frames: Any, limits: Any) -> Any:
        return bytes(16 << 20) and real(frames, limits)

    monkeypatch.setattr(wire, "decode", greedy)


def _growing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit that nobody obeys."""
    monkeypatch.setattr(wire, "SETTINGS", handlers.SETTINGS._replace(groups_max=0))


PLANTED = {
    "decode raises": (_raising, "KeyError"),
    "decode says internal": (_swallowing, "our own bug"),
    "a handler raises": (_stepping, "AssertionError"),
    "an answer is lost": (_forgetting, "got no answer"),
    "a code of its own": (_coining, "codes.json"),
    "slow": (_dawdling, "processor time"),
    "memory": (_hoarding, "bytes of memory"),
    "no limit": (_growing, "over a limit"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("plant", "said"), PLANTED.values(), ids=PLANTED.keys())
def test_a_planted_bug_is_found(
    monkeypatch: pytest.MonkeyPatch, plant: Callable[[pytest.MonkeyPatch], None], said: str
):
    plant(monkeypatch)
    found = [one["what"] for seed in range(SEED, SEED + 8) for one in wire.played(seed).failures]
    assert any(said in what for what in found), found
