"""Names of topics, groups and consumers, and patterns over topics.

Owns what is a legal name. Must never know whether a topic exists, or what a pattern takes in: that
is the core's (`laybyd.core.patterns`).
"""

from __future__ import annotations

import re
from functools import lru_cache

from laybyd.core.patterns import RESERVED
from laybyd.wire.limits import NAME_BYTES

OPEN = "layby.bench."
"""The one reserved beginning that anybody may use."""

RULE = f"1 to {NAME_BYTES} of A-Z a-z 0-9 . _ -"

_NAME = re.compile(rf"[A-Za-z0-9._-]{{1,{NAME_BYTES}}}")
_PATTERN = re.compile(rf"[A-Za-z0-9._*-]{{1,{NAME_BYTES}}}")


@lru_cache(maxsize=4_096)
def why_not_name(name: str) -> str:
    """What is wrong with a name; "" when nothing is."""
    if _NAME.fullmatch(name) is None:
        return f"a name is {RULE}"
    if name.startswith(RESERVED) and not name.startswith(OPEN):
        return f"names beginning with {RESERVED} are reserved (but for {OPEN})"
    return ""


def why_not_pattern(pattern: str) -> str:
    """What is wrong with a topic name or pattern; "" when nothing is."""
    if "*" not in pattern:
        return why_not_name(pattern)
    return "" if _PATTERN.fullmatch(pattern) else f"a pattern is {RULE}, and * for any run of them"
