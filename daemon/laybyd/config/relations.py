"""What must hold between settings that are each right by themselves.

Owns those rules. Must never know where a value was written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from laybyd.config.model import Config

    Rule = tuple[str, bool, str]

PAGE_BYTES = 4_096
BLOCK_OVERHEAD = 1_024
BLOCKS_MIN = 4
SEGMENTS_MIN = 3


def relations(config: Config) -> list[tuple[str, str]]:
    """The setting to change and a sentence, for each rule that does not hold."""
    rules = (*_listening(config), *_sizes(config), *_times(config))
    return [(name, text) for name, holds, text in rules if not holds]


def _listening(config: Config) -> Iterator[Rule]:
    strangers = ", ".join(config.open_endpoints)
    yield (
        "listen",
        config.insecure or not strangers,
        f"{strangers} can be reached from other machines and there is no protection yet; "
        "listen at 127.0.0.1 or ipc://, or say insecure: true in a network you trust",
    )


def _sizes(config: Config) -> Iterator[Rule]:
    store, limits = config.store, config.limits
    yield (
        "limits.max_message",
        limits.max_message + BLOCK_OVERHEAD <= limits.max_block,
        "a message must fit into a block (limits.max_block) with 1KiB to spare",
    )
    yield (
        "limits.pending_bytes",
        limits.pending_bytes >= limits.max_block,
        "at least one block (limits.max_block) must fit",
    )
    yield (
        "limits.max_block",
        limits.max_block * BLOCKS_MIN <= store.segment_bytes,
        f"at least {BLOCKS_MIN} blocks must fit into a segment (store.segment_bytes)",
    )
    yield (
        "store.segment_bytes",
        store.segment_bytes % PAGE_BYTES == 0,
        "must be a multiple of 4KiB",
    )
    yield (
        "store.max_bytes",
        store.max_bytes >= SEGMENTS_MIN * store.segment_bytes,
        f"must hold at least {SEGMENTS_MIN} segments (store.segment_bytes)",
    )


def _times(config: Config) -> Iterator[Rule]:
    groups = config.groups
    yield (
        "groups.max_hold",
        groups.max_hold >= groups.max_handling,
        "must not be shorter than groups.max_handling",
    )
