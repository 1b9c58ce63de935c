"""Images of one recording, each opened in a child of its own.

Owns which moments of the recording are tried, and the children. Must never know what is right.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import signal
import traceback
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from tests.crash import images, recording
from tests.crash.broker import config
from tests.crash.examine import examine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.crash.images import Image
    from tests.crash.knowledge import Knowledge
    from tests.crash.recorder import Recording

CHILD_S = 120


class Verdict(NamedTuple):
    """Of one image: where the power went, how it was drawn, what is wrong."""

    number: int
    at: int
    told: str
    problems: list[str]


def replay(made: Recording, place: Path, seed: str, count: int) -> Iterator[Verdict]:
    """`count` images over the whole recording, in the order of their moments."""
    rng = Random(f"{seed}/moments")
    moments = sorted(rng.randrange(len(made.records) + 1) for _ in range(count))
    taken = 0
    for number, at in enumerate(moments):
        for one in made.records[taken:at]:
            made.disk.take(one)
            if one.kind == recording.MARK:
                made.known.take(one.mark)
        taken = at
        image = images.draw(made.disk, Random(f"{seed}/{number}"))
        yield Verdict(number, at, image.told, judged(made, image, place))


def judged(made: Recording, image: Image, place: Path) -> list[str]:
    """What a child that recovers the image finds wrong, or how it ended."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    image.write(made.root, place)
    return in_a_child(place / made.store.relative_to(made.root), made.known)


def in_a_child(store: Path, known: Knowledge) -> list[str]:
    """What a child that recovers the store finds wrong, or how it ended."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        _child(store, known, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        told = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code:
        how = signal.Signals(-code).name if code < 0 else f"exit {code}"
        return [f"recovery was ended by {how}"]
    return [str(problem) for problem in json.loads(told)]


def _child(store: Path, known: Knowledge, writer: int) -> None:
    try:
        signal.alarm(CHILD_S)
        try:
            found = examine(store, known, config(store, "ipc://nowhere"))
        except Exception:
            found = [traceback.format_exc()]
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(json.dumps(found[:20]).encode())
        os._exit(0)
    finally:
        os._exit(99)


def left_by_a_crash(made: Recording, seed: str, target: Path) -> Knowledge:
    """One image somewhere in the second half, written out as the start of another recording;
    what is known of it is returned."""
    rng = Random(f"{seed}/crash")
    at = rng.randrange(len(made.records) // 2, len(made.records))
    disk, known = copy.deepcopy(made.disk), copy.deepcopy(made.known)
    for one in made.records[:at]:
        disk.take(one)
        if one.kind == recording.MARK:
            known.take(one.mark)
    target.mkdir()
    images.draw(disk, rng).write(made.root, target)
    return known
