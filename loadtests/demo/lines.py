"""Which log lines the demo sends, and in which order.

Owns the choice of lines: the files asked for, or this machine's own logs topped up from a sample
of real formats. Must never know a broker. Lines are bytes; their line ends are cut.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

LINES = 20_000
HISTORY_SHARE = 0.5
"""So much is there at the start and sent at once; the rest comes live."""
CLEAN_SHARE = 0.625
"""Up to here, a quarter of what comes live, lines carry no poison: something to compare with."""
POISON_EVERY = 100
TAIL_BYTES = 8 << 20
LINE_BYTES = 64 << 10
SAMPLE = Path(__file__).with_name("sample")
LOG_FOLDER = Path("/var/log")


class Line(NamedTuple):
    """A line to send; `what` tells it apart from every other, and tells its bytes."""

    topic: str
    number: int
    data: bytes
    poison: bool

    @property
    def key(self) -> bytes:
        return b"%s:%d" % (self.topic.encode(), self.number)

    @property
    def what(self) -> str:
        return identity(self.key, self.data)


def identity(key: bytes | None, data: bytes) -> str:
    return f"{(key or b'').decode()}#{zlib.crc32(data):08x}"


class Source(NamedTuple):
    topic: str
    lines: list[bytes]


def asked_for(paths: Sequence[str]) -> list[Source]:
    """The lines of these files, one topic each. Raises OSError."""
    return _named([(Path(path), _tail(Path(path))) for path in paths])


def machine(folder: Path = LOG_FOLDER) -> list[Source]:
    """What this machine's own logs hold, as far as they may be read."""
    found = [(path, lines) for path in _log_files(folder) if (lines := _readable(path))]
    if journal := _journal():
        found.append((Path("journal"), journal))
    return _named(found)


def sample(wanted: int) -> list[Source]:
    """`wanted` lines of the sample, repeated as often as it takes."""
    sources = asked_for([str(path) for path in sorted(SAMPLE.glob("*.log"))])
    turns = itertools.cycle([(source.topic, line) for source in sources for line in source.lines])
    lines: dict[str, list[bytes]] = {source.topic: [] for source in sources}
    for topic, line in itertools.islice(turns, wanted):
        lines[topic].append(line)
    return [Source(topic, taken) for topic, taken in lines.items() if taken]


def shares(sizes: Mapping[str, int], total: int) -> dict[str, int]:
    """How many lines each source gives so that together they are at most `total`: small ones give
    all they have, the others the same."""
    given, left = {}, total
    for i, (topic, size) in enumerate(sorted(sizes.items(), key=lambda item: item[1])):
        given[topic] = min(size, left // (len(sizes) - i))
        left -= given[topic]
    return given


def chosen(paths: Sequence[str]) -> list[Source]:
    """The sources of a run, LINES in all at most; exactly so many when no paths are given."""
    sources = asked_for(paths) if paths else machine()
    given = shares({source.topic: len(source.lines) for source in sources}, LINES)
    sources = [Source(topic, lines[-given[topic] :]) for topic, lines in sources if given[topic]]
    if not paths and (missing := LINES - sum(given.values())):
        taken = {source.topic for source in sources}
        for topic, lines in sample(missing):
            sources.append(Source(f"sample.{topic}" if topic in taken else topic, lines))
    return sources


def mixed(sources: Sequence[Source]) -> list[Line]:
    """All lines in the order they are sent: each source flows evenly from begin to end. One in
    POISON_EVERY of all is poison, spread evenly over what comes after the clean part."""
    order = sorted(
        ((i + 0.5) / len(lines), topic, i) for topic, lines in sources for i in range(len(lines))
    )
    texts = dict(sources)
    poison = set(_poisoned(len(order)))
    return [
        Line(topic, i + 1, texts[topic][i], place in poison)
        for place, (_, topic, i) in enumerate(order)
    ]


def _poisoned(total: int) -> Iterator[int]:
    clean = int(total * CLEAN_SHARE)
    wanted = -(-total // POISON_EVERY)
    for i in range(wanted):
        yield clean + (total - clean) * (2 * i + 1) // (2 * wanted)


def _named(files: Sequence[tuple[Path, list[bytes]]]) -> list[Source]:
    """One topic per file, named after it; a second file of the same name gets a number."""
    sources: dict[str, list[bytes]] = {}
    for path, lines in files:
        base = topic = topic_name(path)
        for number in itertools.count(2):
            if topic not in sources:
                break
            topic = f"{base}-{number}"
        sources[topic] = lines
    return [Source(topic, lines) for topic, lines in sources.items() if lines]


def topic_name(path: Path) -> str:
    name = path.stem if path.suffix == ".log" else path.name
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:150] or "log"
    return f"log.{name}" if name.startswith("layby.") else name


def _tail(path: Path) -> list[bytes]:
    """The newest lines of a file."""
    with path.open("rb") as file:
        start = max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES)
        file.seek(start)
        text = file.read(TAIL_BYTES)
    lines = [line.removesuffix(b"\r")[:LINE_BYTES] for line in text.split(b"\n")]
    if not lines[-1]:
        lines.pop()
    return lines[1:] if start else lines


def _log_files(folder: Path) -> list[Path]:
    found = [*folder.glob("*"), *folder.glob("*/*.log")]
    packed = {".gz", ".xz", ".bz2", ".zst", ".journal"}
    return sorted(path for path in found if path.is_file() and path.suffix not in packed)


def _readable(path: Path) -> list[bytes]:
    """Its lines if it is text that we may read, else nothing."""
    try:
        lines = _tail(path)
    except OSError:
        return []
    return [] if any(b"\0" in line for line in lines[:50]) else lines


def _journal() -> list[bytes]:
    if not (command := shutil.which("journalctl")):
        return []
    arguments = [command, "--quiet", "--no-pager", "--output=short-iso", f"--lines={LINES}"]
    try:
        told = subprocess.run(arguments, capture_output=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return told.stdout.splitlines()
