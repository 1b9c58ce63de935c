"""What must hold between settings that are each right by themselves.

Owns those rules. Must never know where a value was written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from laybyd.config.model import Config

PAGE_BYTES = 4_096
BLOCK_OVERHEAD = 1_024
SEGMENTS_MIN = 3


def relations(config: Config) -> list[tuple[str, str]]:
    """The setting to change and a sentence, for each rule that does not hold."""
    return [(name, text) for name, holds, text in _rules(config) if not holds]


def _rules(config: Config) -> list[tuple[str, bool, str]]:
    store, limits, groups = config.store, config.limits, config.groups
    strangers = ", ".join(config.open_endpoints)
    return [
        (
            "listen",
            config.insecure or not strangers,
            f"{strangers} can be reached from other machines and there is no protection yet; "
            "listen at 127.0.0.1 or ipc://, or say insecure: true in a network you trust",
        ),
        (
            "limits.max_message",
            limits.max_message + BLOCK_OVERHEAD <= limits.max_block,
            "a message must fit into a block (limits.max_block) with 1KiB to spare",
        ),
        (
            "limits.pending_bytes",
            limits.pending_bytes >= limits.max_block,
            "at least one block (limits.max_block) must fit",
        ),
        (
            "limits.max_block",
            limits.max_block * 4 <= store.segment_bytes,
            "four blocks must fit into a segment (store.segment_bytes)",
        ),
        (
            "store.segment_bytes",
            store.segment_bytes % PAGE_BYTES == 0,
            "must be a multiple of 4KiB",
        ),
        (
            "store.max_bytes",
            store.max_bytes >= SEGMENTS_MIN * store.segment_bytes,
            f"must hold at least {SEGMENTS_MIN} segments (store.segment_bytes)",
        ),
        (
            "groups.max_hold",
            groups.max_hold >= groups.max_handling,
            "must not be shorter than groups.max_handling",
        ),
    ]
