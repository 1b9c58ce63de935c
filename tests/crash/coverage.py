"""Which rare steps of the store a recording holds: what is not in it no image can judge.

Owns their traces in the daemon's calls. Must never know how a step is done beyond those.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from typing import TYPE_CHECKING

from tests.crash import recording

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.crash.recording import Record

_RENAMES = (
    ("created", re.compile(r"state\.new state\.lmdb")),
    ("rolled", re.compile(r"spare-\d+\.lmdb \d+\.lmdb")),
    ("trimmed", re.compile(r"\d+\.lmdb spare-\d+\.lmdb")),
)


def of(records: Iterable[Record]) -> Counter[str]:
    """Stores created, segments rolled, trimmed and used again; commits to the log and the state."""
    found: Counter[str] = Counter()
    retired: set[str] = set()
    files: dict[int, str] = {}
    for one in records:
        if one.kind == recording.OPEN:
            files[one.fd] = os.path.basename(one.path)
        elif one.kind == recording.WRITE_FLUSHED:
            found["state commits" if "state" in files[one.fd] else "log commits"] += 1
        elif one.kind == recording.RENAME:
            old, new = map(os.path.basename, one.path.split("\0"))
            found.update(word for word, names in _RENAMES if names.fullmatch(f"{old} {new}"))
            found["used again"] += old in retired and not new.startswith("spare")
            retired.add(new)
    return found
