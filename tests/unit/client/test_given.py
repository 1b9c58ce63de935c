"""What cannot be sent is refused where it is handed in, and stands in nobody's way."""

from __future__ import annotations

import pytest

from layby import _given
from layby._batcher import Batcher
from layby._sequence import Limits
from layby.errors import BadName, TooLarge

UNSENDABLE = [
    ({"key": b"k" * 65_536}, TooLarge),
    ({"key": "caf\udce9"}, ValueError),
    ({"headers": {"k": "caf\udce9"}}, ValueError),
    ({"headers": {"caf\udce9": "v"}}, ValueError),
    ({"headers": {"k": "v" * 65_536}}, TooLarge),
    ({"headers": {"k": 1}}, TypeError),
    ({"headers": {b"k": "v"}}, TypeError),
    ({"timestamp": -1.0}, ValueError),
    ({"timestamp": float("nan")}, ValueError),
    ({"timestamp": 1e12}, ValueError),
]


@pytest.mark.parametrize(("extras", "error"), UNSENDABLE)
def test_a_lone_message_is_refused(extras, error):
    given = {"key": None, "headers": None, "timestamp": None, **extras}
    with pytest.raises(error):
        _given.message_fields(b"x", **given)


@pytest.mark.parametrize(("extras", "error"), UNSENDABLE)
@pytest.mark.parametrize("block_bytes", [65_520, 1 << 20])
def test_a_batcher_goes_on_without_it(extras, error, block_bytes):
    batcher = Batcher(Limits(), block_bytes)
    assert list(batcher.add(b"before")) == []
    with pytest.raises(error):
        list(batcher.add(b"x", **extras))
    assert list(batcher.add(b"behind", key=b"k", headers={"h": "1"})) == []
    cut = batcher.close()
    assert cut is not None
    assert cut.messages == 2


def test_what_just_fits_is_taken():
    batcher = Batcher(Limits(), 1 << 20)
    last = 9e9
    assert list(batcher.add(b"x", b"k" * 65_535, {"h": "v" * 65_529}, last)) == []
    assert batcher.close() is not None


def test_a_name_that_cannot_be_sent():
    assert _given.as_name("app.*", "topic") == "app.*"
    assert _given.as_name("grün", "topic") == "grün", "whether it is allowed says the broker"
    with pytest.raises(BadName, match="topic: a name is"):
        _given.as_name("t\udce9", "topic")
