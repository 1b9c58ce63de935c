"""Is what became of a harmed store what was promised? Owns the promises on damage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.damage.look import DAMAGED

if TYPE_CHECKING:
    from tests.damage.look import Seen

BLOCKS = ("block ", "bytes of ")


def faults(whole: Seen, check: Seen, start: Seen) -> list[str]:
    """`whole` is what a start reads of the store as it was."""
    found = []
    if start.how not in ("whole", "damaged"):
        found.append(f"a start ends with {start.how}: {start.text}")
    if check.how not in ("whole", "damaged") and not check.how.startswith("SIG"):
        found.append(f"the check ends with {check.how}: {check.text}")
    if start.how == "whole":
        found += [f"wrong bytes are served: {name}" for name in _wrong(whole, start)]
    if check.how == "whole" and (start.how != "whole" or start.parts != whole.parts):
        found.append("the check names nothing")
    return found


def is_live(whole: Seen, start: Seen) -> bool:
    """The harm is seen by who reads everything."""
    return start.how != "whole" or start.parts != whole.parts


def _wrong(whole: Seen, start: Seen) -> list[str]:
    """All that is not as it was, but for single blocks that are refused."""
    names = whole.parts.keys() | start.parts.keys()
    return sorted(
        name
        for name in names
        if start.parts.get(name) != whole.parts.get(name)
        and not (name.startswith(BLOCKS) and start.parts.get(name) == DAMAGED)
    )
