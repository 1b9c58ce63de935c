from __future__ import annotations

from datetime import datetime

import click
import pytest

from layby.cli import params


def test_positions() -> None:
    assert params.POSITIONS.convert("17", None, None) == (17, 17)
    assert params.POSITIONS.convert("10-20", None, None) == (10, 20)


@pytest.mark.parametrize("word", ["0", "x", "20-10", "-5", "1-", "9007199254740992"])
def test_bad_positions(word: str) -> None:
    with pytest.raises(click.BadParameter):
        params.POSITIONS.convert(word, None, None)


def test_headers() -> None:
    assert params.HEADER.convert("a=b=c", None, None) == ("a", "b=c")
    with pytest.raises(click.BadParameter, match="name=value"):
        params.HEADER.convert("a", None, None)
    with pytest.raises(click.BadParameter, match="UTF-8"):
        params.HEADER.convert("k=caf\udce9", None, None)


def test_from() -> None:
    assert params.FROM.convert("-10", None, None) == ("last", 10)
    assert params.FROM.convert("latest", None, None) == "latest"
    assert params.FROM.convert("3", None, None) == 3
    assert isinstance(params.FROM.convert("10m", None, None), datetime)


def test_a_duration_lasts() -> None:
    assert params.DURATION.convert("1m", None, None) == 60.0
    assert params.DELAY.convert("0s", None, None) == 0.0
    assert params.DEFER_DELAY.convert("366d", None, None) == 366 * 86_400
    with pytest.raises(click.BadParameter, match="366 days"):
        params.DEFER_DELAY.convert("367d", None, None)
    with pytest.raises(click.BadParameter, match="longer"):
        params.DURATION.convert("0s", None, None)
