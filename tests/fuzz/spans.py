"""Where each value of a msgpack map begins and ends, so that one can be changed in place.

Owns a walk over well-formed msgpack. Must never know which changes are made. It shares no code
with the broker's screen, which is one of the things under test.
"""

from __future__ import annotations

from typing import NamedTuple

MAP, ARRAY, STR, BIN, INT, OTHER = "map", "array", "str", "bin", "int", "other"


class Span(NamedTuple):
    """`at .. end` is the whole value, `body` where its header ends; `count` is what the header
    says: entries or bytes. `parent` is the index of the container's span, -1 for the outermost."""

    kind: str
    at: int
    body: int
    end: int
    count: int
    is_key: bool
    parent: int


_FIXED = {0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
_SIZED = {0xC4: (BIN, 1), 0xC5: (BIN, 2), 0xC6: (BIN, 4), 0xD9: (STR, 1), 0xDA: (STR, 2)}
_SIZED |= {0xDB: (STR, 4), 0xDC: (ARRAY, 2), 0xDD: (ARRAY, 4), 0xDE: (MAP, 2), 0xDF: (MAP, 4)}


def head(data: bytes, at: int) -> tuple[str, int, int, int]:
    """(kind, where the header ends, what it counts, bytes of a scalar's body)."""
    byte = data[at]
    if byte < 0x80 or byte >= 0xE0:
        return INT, at + 1, 0, 0
    if byte < 0x90:
        return MAP, at + 1, byte & 15, 0
    if byte < 0xA0:
        return ARRAY, at + 1, byte & 15, 0
    if byte < 0xC0:
        return STR, at + 1, byte & 31, byte & 31
    if byte in _SIZED:
        kind, width = _SIZED[byte]
        count = int.from_bytes(data[at + 1 : at + 1 + width], "big")
        return kind, at + 1 + width, count, count if kind in (STR, BIN) else 0
    if byte in _FIXED:
        return (OTHER if byte < 0xCC else INT), at + 1, 0, _FIXED[byte]
    return OTHER, at + 1, 0, 0


def spans(data: bytes) -> list[Span]:
    """All values, containers before what is in them; [] when the bytes are not one such map."""
    found: list[Span] = []
    try:
        end = _walk(data, 0, False, -1, found)
    except (IndexError, RecursionError):
        return []
    return found if found and found[0].kind == MAP and end == len(data) else []


def _walk(data: bytes, at: int, is_key: bool, parent: int, found: list[Span]) -> int:
    kind, body, count, size = head(data, at)
    mine = len(found)
    end = body + size
    if end > len(data) or count > len(data):
        raise IndexError
    found.append(Span(kind, at, body, end, count, is_key, parent))
    if kind in (MAP, ARRAY):
        for number in range(count * 2 if kind == MAP else count):
            end = _walk(data, end, kind == MAP and number % 2 == 0, mine, found)
        found[mine] = found[mine]._replace(end=end)
    return end


def sized(kind: str, count: int, wide: bool = False) -> bytes:
    """A header that says so; `wide`, in its longest form."""
    if kind == STR:
        forms = ((32, 0xA0, 0), (1 << 8, 0xD9, 1), (1 << 16, 0xDA, 2), (1 << 32, 0xDB, 4))
    elif kind == BIN:
        forms = ((0, 0, 0), (1 << 8, 0xC4, 1), (1 << 16, 0xC5, 2), (1 << 32, 0xC6, 4))
    elif kind == ARRAY:
        forms = ((16, 0x90, 0), (0, 0, 0), (1 << 16, 0xDC, 2), (1 << 32, 0xDD, 4))
    else:
        forms = ((16, 0x80, 0), (0, 0, 0), (1 << 16, 0xDE, 2), (1 << 32, 0xDF, 4))
    for below, byte, width in forms[3:] if wide else forms:
        if count < below:
            return bytes([byte | count]) if not width else bytes([byte]) + count.to_bytes(width)
    raise ValueError(count)
