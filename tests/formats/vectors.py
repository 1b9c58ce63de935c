"""`python -m tests.formats.vectors`: notes the protocol's vectors of a release, by their hashes.

Run once for a release of the protocol; what it wrote is never made again.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from laybyd.wire.encode import PROTOCOL

HERE = Path(__file__).parent
VECTORS = HERE.parents[1] / "clients" / "protocol" / "vectors"


def noted(version: int) -> dict[str, str]:
    """What clients of that version of the protocol rely on: name and hash of each vector."""
    found: dict[str, str] = json.loads((HERE / f"protocol-{version}.json").read_text())
    return found


def today() -> dict[str, str]:
    return {
        _name(path.stem, part, vector): _hash(vector)
        for path in sorted(VECTORS.glob("*.json"))
        for part, vectors in json.loads(path.read_text()).items()
        for vector in vectors
    }


def broken(released: dict[str, str], current: dict[str, str]) -> list[str]:
    """The released vectors that are gone or say something else now; new ones are welcome."""
    return [name for name, known in released.items() if current.get(name) != known]


def _name(area: str, part: str, vector: dict[str, Any]) -> str:
    said = [vector[key] for key in ("name", "pattern", "patterns", "topic") if key in vector]
    return "/".join([area, part, *map(str, said)])


def _hash(vector: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(vector, sort_keys=True).encode()).hexdigest()[:16]


if __name__ == "__main__":
    text = json.dumps(today(), indent=0, ensure_ascii=False)
    (HERE / f"protocol-{PROTOCOL}.json").write_text(text + "\n")
