"""Notices forks. Owns one number: how often this process was forked off since the import."""

from __future__ import annotations

import os

from layby.errors import Forked

generation = 0


def _forked() -> None:
    global generation
    generation += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def check(born: int) -> None:
    """Raises Forked when `born` is not this process's generation."""
    if born != generation:
        raise Forked
