"""Every bound and pace the core obeys, with its unit and its default.

Owns the numbers. Must never know where they were written (file, command line, wire).
"""

from __future__ import annotations

from typing import NamedTuple

MS = 1_000
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE


class GroupSettings(NamedTuple):
    """Per group; a group's record may override any of them. All `_us` are microseconds."""

    lease_us: int = 30 * SECOND
    max_handling_us: int = 30 * SECOND
    max_hold_us: int = 10 * MINUTE
    backoff_us: tuple[int, ...] = (10 * SECOND, MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR)
    max_attempts: int = 6
    live_slice_us: int = 50 * MS
    drain_slice_us: int = 20 * MS
    hand_back_after_us: int = 30 * MS
    max_wait_us: int = 10 * MINUTE
    busy_share_ppm: int = 50_000
    idle_after_us: int = 5 * MS
    reserve: int = 1
    max_out: int = 1_000_000
    leases_per_session: int = 64
    deferred_bytes: int = 1 << 30
    dead_bytes: int = 1 << 30


class CoreSettings(NamedTuple):
    """Of the whole broker."""

    group: GroupSettings = GroupSettings()
    restart_grace_us: int = 500 * MS
    settle_flush_us: int = 5 * MS
    settle_flush_deltas: int = 1_000
    wait_us_max: int = 30 * SECOND
    answer_leases_max: int = 16
    history_first: int = 4
    history_last: int = 12
    reason_bytes_max: int = 1_024
    window_rows: int = 4_096
    head_records: int = 1_024
    producers_max: int = 100_000
    producers_recent: int = 1_000
    producer_history: int = 1_024
    producer_in_flight_max: int = 1_024
    producer_kept_us: int = 7 * 24 * HOUR
    groups_max: int = 10_000
    sessions_max: int = 10_000
    quiesce_us: int = 30 * SECOND
    busy_retry_ms: int = 100
    full_retry_ms: int = 1_000
