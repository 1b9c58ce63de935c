from __future__ import annotations

import pytest

from layby.cli import settings


@pytest.mark.parametrize(
    ("word", "parsed"),
    [
        ("lease=45s", ("lease_ms", 45_000)),
        ("lease_ms=500", ("lease_ms", 500)),
        ("backoff=10s,1m", ("backoff_ms", [10_000, 60_000])),
        ("max_attempts=3", ("max_attempts", 3)),
        ("busy_share=5%", ("busy_share_ppm", 50_000)),
        ("dead_bytes=1GiB", ("dead_bytes", 1 << 30)),
    ],
)
def test_settings_are_read(word: str, parsed: tuple[str, object]) -> None:
    assert settings.parse(word) == parsed


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("leese=1s", "did you mean 'lease'"),
        ("lease", "write it like"),
        ("lease=soon", "lease: 'soon' is not a duration"),
        ("max_attempts=many", "max_attempts"),
    ],
)
def test_a_wrong_one_is_explained(word: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        settings.parse(word)


def test_shown_as_they_are_read() -> None:
    wire = {"lease_ms": 90_000, "backoff_ms": [10_000, 500], "busy_share_ppm": 50_000, "new": 1}
    shown = settings.shown(wire)
    assert shown == [
        ("lease", "1m30s"),
        ("backoff", "10s,500ms"),
        ("busy_share", "5%"),
        ("new", "1"),
    ]
    assert [settings.parse(f"{name}={value}") for name, value in shown[:3]] == [
        item for item in wire.items() if item[0] != "new"
    ]


def test_every_setting_of_the_broker_is_known() -> None:
    from laybyd.core.settings import GroupSettings

    assert list(settings.KINDS) == [name.replace("_us", "_ms") for name in GroupSettings._fields]
