"""The options of consume() and work(), and what they mean for a session. Owns the defaults."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict

from layby._desk import OnError
from layby._given import as_name
from layby._session import Terms
from layby._units import Seconds, Start, as_seconds, as_start
from layby.message import Message

OnLost = Callable[[Message, str], object]

PREFETCH_BYTES = 4 << 20


class Options(TypedDict, total=False):
    """Named as in consume(), where they are told."""

    start: Start
    prefetch: int | None
    prefetch_bytes: int
    lease: Seconds | None
    idle_timeout: Seconds | None
    on_error: OnError
    on_lost: OnLost | None


def as_terms(topics: tuple[str, ...], group: str, name: str, jobs: int, options: Options) -> Terms:
    lease = options.get("lease")
    return Terms(
        group=as_name(group, "group"),
        topics=tuple(as_name(topic, "topic") for topic in topics),
        name=name,
        start=as_start(options.get("start", "earliest")),
        lease_s=None if lease is None else as_seconds(lease),
        prefetch=options.get("prefetch"),
        prefetch_bytes=options.get("prefetch_bytes", PREFETCH_BYTES),
        handlers=jobs,
    )
