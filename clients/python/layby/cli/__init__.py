"""The `layby` command. Owns its entry point; must never know a verb's insides.

One file per verb or family of verbs; `app` finds and loads only the one that is asked for.
"""

from __future__ import annotations

from layby.cli.app import main

__all__ = ["main"]
