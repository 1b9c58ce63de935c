"""Writes vectors/*.json and the examples of PROTOCOL.md; a test tells when they are out of date."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from clients.protocol.source import answers, blocks, names, operators, page, requests, shapes
from clients.protocol.source.vector import Vector

PROTOCOL = Path(__file__).parents[1]

FILES: dict[str, Sequence[Vector]] = {
    "blocks": blocks.VECTORS,
    "envelope": shapes.ENVELOPES,
    "maps": shapes.MAPS,
    "requests": requests.VECTORS,
    "operators": operators.VECTORS,
    "answers": answers.VECTORS,
}


def texts() -> dict[Path, str]:
    """Every generated file and what must stand in it."""
    folder = PROTOCOL / "vectors"
    written = {
        folder / f"{area}.json": _listed([vector.as_json() for vector in vectors])
        for area, vectors in FILES.items()
    }
    written[folder / "names.json"] = json.dumps(names.as_json(), indent=1) + "\n"
    by_name = {f"{area}/{v.name}": v for area, vectors in FILES.items() for v in vectors}
    codes = json.loads((PROTOCOL / "codes.json").read_text())["codes"]
    document = PROTOCOL / "PROTOCOL.md"
    written[document] = page.filled(document.read_text(), by_name, codes)
    return written


def _listed(entries: list[dict[str, object]]) -> str:
    """One vector a line, so that a change shows as one line."""
    lines = ",\n".join(json.dumps(entry) for entry in entries)
    return f'{{"vectors": [\n{lines}\n]}}\n'


if __name__ == "__main__":
    for path, text in texts().items():
        path.write_text(text)
