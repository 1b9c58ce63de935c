from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from layby.cli import text

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("word", "seconds"),
    [
        ("30s", 30.0),
        ("1m30s", 90.0),
        ("500ms", 0.5),
        ("2h", 7_200.0),
        ("1d", 86_400.0),
        ("0.5s", 0.5),
        ("5", 5.0),
        ("0s", 0.0),
        ("10us", 1e-5),
    ],
)
def test_durations_are_read(word: str, seconds: float) -> None:
    assert text.parse_duration(word) == pytest.approx(seconds)


@pytest.mark.parametrize("word", ["", "s", "30 s", "30x", "-5s", "1m 30s", "soon", "1e3"])
def test_what_is_no_duration_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        text.parse_duration(word)


@pytest.mark.parametrize("seconds", [0.0, 1e-6, 0.0005, 0.25, 1.0, 1.5, 59.999, 90.0, 90_061.25])
def test_a_duration_is_written_as_it_is_read(seconds: float) -> None:
    assert text.parse_duration(text.duration(seconds)) == pytest.approx(seconds, abs=1e-7)


def test_durations_look_like_people_write_them() -> None:
    assert [text.duration(s) for s in (30, 90, 3_600, 0.5, 86_400)] == [
        "30s",
        "1m30s",
        "1h",
        "500ms",
        "1d",
    ]


def test_relative_times() -> None:
    now = 1_000_000_000_000_000
    assert text.relative(now + 10_000_000, now) == "in 10s"
    assert text.relative(now - 200_000_000, now) == "3m ago"
    assert text.relative(now + 400_000, now) == "now"
    assert text.relative(0, now) == "-"


def test_clock_is_rfc_3339() -> None:
    assert text.clock(1_763_929_561_123_456) == "2025-11-23T20:26:01.123456Z"


@pytest.mark.parametrize(
    ("word", "number"), [("200", 200), ("64KiB", 65_536), ("1.5 GiB", 3 << 29), ("1MB", 1_000_000)]
)
def test_sizes_are_read(word: str, number: int) -> None:
    assert text.parse_size(word) == number


def test_what_is_no_size_is_refused() -> None:
    with pytest.raises(ValueError, match="not a size"):
        text.parse_size("64 potatoes")


def test_sizes_are_shown() -> None:
    assert [text.size(n) for n in (0, 1_023, 1_536, 5 << 30)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "5.0 GiB",
    ]


def test_when() -> None:
    assert text.parse_when("earliest", NOW) == "earliest"
    assert text.parse_when("17", NOW) == 17
    assert text.parse_when("10m", NOW) == NOW - timedelta(minutes=10)
    assert text.parse_when("2026-11-23T11:00:00Z", NOW) == NOW - timedelta(hours=1)


def test_a_time_without_zone_is_local() -> None:
    at = text.parse_when("2026-11-23 11:00", NOW)
    assert isinstance(at, datetime)
    assert at.tzinfo is not None


def test_when_refuses_nonsense() -> None:
    with pytest.raises(ValueError, match="earliest, latest"):
        text.parse_when("yesterday", NOW)


EVIL = "a\x1b[31mred\x07\x9b2J\u202eevil\x7f\nend"


def test_strangers_text_cannot_steer_the_terminal() -> None:
    shown = text.harmless(EVIL)
    assert shown == "a\\x1b[31mred\\x07\\x9b2J\\u202eevil\\x7f\\nend"
    assert text.harmless("a\tb\nc", keep="\n\t") == "a\tb\nc"
    assert text.harmless("grüße 日本") == "grüße 日本"


def test_nor_by_json_which_still_says_the_same() -> None:
    line = text.harmless_json(json.dumps({"text": EVIL}, ensure_ascii=False))
    assert text.harmless(line) == line
    assert json.loads(line) == {"text": EVIL}


def test_plural() -> None:
    assert text.plural(1, "message") == "1 message"
    assert text.plural(1_200, "message") == "1,200 messages"
