"""Numbers with units, and what is no such number."""

import re

import pytest

from laybyd.config.units import Amount, amount, between, duration_us, share_ppm, size_bytes


@pytest.mark.parametrize(
    ("read", "text", "number"),
    [
        (duration_us, "30s", 30_000_000),
        (duration_us, "5ms", 5_000),
        (duration_us, "1.5 h", 5_400_000_000),
        (duration_us, "7d", 604_800_000_000),
        (duration_us, "250us", 250),
        (duration_us, 0, 0),
        (duration_us, "0s", 0),
        (size_bytes, "10GiB", 10 << 30),
        (size_bytes, "512B", 512),
        (size_bytes, "0.5KiB", 512),
        (share_ppm, "5%", 50_000),
        (share_ppm, "0.1%", 1_000),
    ],
)
def test_what_is_understood(read, text, number):
    assert read(text) == number


@pytest.mark.parametrize(
    ("read", "value", "sentence"),
    [
        (duration_us, 30, "30 has no unit; write a duration like 30s"),
        (duration_us, "30", "'30' is not a duration"),
        (duration_us, "10GiB", "'10GiB' has a unit that does not fit; write a duration"),
        (duration_us, "-1s", "'-1s' is not a duration"),
        (duration_us, "0.1us", "finer"),
        (duration_us, True, "this (bool) is not a duration"),
        (duration_us, False, "this (bool) is not a duration"),
        (duration_us, None, "is not a duration"),
        (duration_us, "٣s", "is not a duration"),
        (size_bytes, "10GB", "'10GB' has a unit that does not fit"),
        (size_bytes, "1e3B", "'1e3B' is not a size"),
        (share_ppm, 0.05, "0.05 has no unit; write a share like 5%"),
        (amount, "10s", "write a size like 1GiB or a share like 10%"),
    ],
)
def test_what_is_refused_says_how_to_write_it(read, value, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        read(value)


def test_an_amount_is_bytes_or_a_share_of_the_whole():
    assert amount("1GiB").of(5) == 1 << 30
    assert amount("10%").of(1_000) == 100
    assert amount(Amount(ppm=1)) == Amount(ppm=1)


def test_bounds_are_part_of_a_reader():
    read = between(duration_us, "1ms", "1h")
    assert read("1h") == 3_600_000_000
    for text in ("0.5ms", "61m", 0):
        with pytest.raises(ValueError, match="out of range; write 1ms to 1h"):
            read(text)
