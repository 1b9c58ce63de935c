"""Changes to a msgpack map that keep most of it well-formed.

Owns one function per kind of change; each takes the bytes and the spans of their values and gives
other bytes. Must never know operations of the protocol.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

from tests.fuzz.spans import ARRAY, BIN, INT, MAP, STR, Span, sized
from tests.fuzz.values import EDGES, KEYS

Spans = list[Span]
Change = Callable[[bytes, Spans, random.Random, bytes], bytes]
"""(the map, its spans, chance, another value from somewhere else)."""


def _pick(spans: Spans, rng: random.Random) -> Span:
    return spans[int(rng.random() * len(spans))]


def _put(data: bytes, span: Span, value: bytes) -> bytes:
    return data[: span.at] + value + data[span.end :]


def _of(spans: Spans, *kinds: str) -> Spans:
    return [span for span in spans if span.kind in kinds] or spans


def edge(data: bytes, spans: Spans, rng: random.Random, donor: bytes) -> bytes:
    """A value that decoders get wrong."""
    return _put(data, _pick(spans, rng), EDGES[int(rng.random() * len(EDGES))])


def other_value(data: bytes, spans: Spans, rng: random.Random, donor: bytes) -> bytes:
    """A value from another request."""
    values = [span for span in spans if span.parent >= 0 and not span.is_key] or spans
    return _put(data, _pick(values, rng), donor)


def other_type(data: bytes, spans: Spans, rng: random.Random, donor: bytes) -> bytes:
    """The same bytes under another type."""
    span = _pick(spans, rng)
    body = data[span.body : span.end]
    if span.kind == STR:
        return _put(data, span, sized(BIN, len(body)) + body)
    if span.kind == BIN:
        return _put(data, span, sized(STR, len(body)) + body)
    if span.kind == ARRAY and span.count % 2 == 0:
        return _put(data, span, sized(MAP, span.count // 2) + body)
    if span.kind == MAP:
        return _put(data, span, sized(ARRAY, span.count * 2) + body)
    if span.kind == INT:
        return _put(data, span, b"\xcb" + struct.pack(">d", rng.random() * 10))
    return _put(data, span, b"\xc3")


def lie(data: bytes, spans: Spans, rng: random.Random, donor: bytes) -> bytes:
    """A header that counts wrong."""
    span = _pick(_of(spans, MAP, ARRAY, STR, BIN), rng)
    if span.kind not in (MAP, ARRAY, STR, BIN):
        return edge(data, spans, rng, donor)
    wrong = (span.count + 1, max(0, span.count - 1), 0, span.count * 2, 0xFFFF, 0xFFFF_FFFF)
    count = wrong[int(rng.random() * len(wrong))]
    head = sized(span.kind, count, wide=rng.random() < 0.3)
    return data[: span.at] + head + data[span.body :]


def wide(data: bytes, spans: Spans, rng: random.Random, donor: bytes) -> bytes:
    """The same in a longer form, which is good msgpack."""
    span = _pick(_of(spans, MAP, ARRAY, STR, BIN), rng)
    if span.kind not in (MAP, ARRAY, STR, BIN):
        return data
    return data[: span.at] + sized(span.kind, span.count, wide=True) + data[span.body :]


def _entry(spans: Spans, rng: random.Random) -> tuple[Span, int, int] | None:
    """A container, and where one of its entries (or pairs) begins and ends."""
    inner = [i for i, span in enumerate(spans) if span.kind in (MAP, ARRAY) and span.count]
    if not inner:
        return None
    which = inner[int(rng.random() * len(inner))]
    container = spans[which]
    children = [span for span in spans[which + 1 :] if span.parent == which]
    number = int(rng.random() * container.count)
    if container.kind == ARRAY:
        return container, children[number].at, children[number].end
    return container, children[2 * number].at, children[2 * number + 1].end


def twice(data: bytes, spans: Spans, rng: random.Random, donor: bytes) -> bytes:
    """An entry twice or many times, counted or not."""
    found = _entry(spans, rng)
    if found is None:
        return data
    container, at, end = found
    times = 1 if rng.random() < 0.8 else int(rng.random() * 400)
    head = data[container.at : container.body]
    if rng.random() < 0.8:
        head = sized(container.kind, container.count + times)
    copies = data[at:end] * times
    return data[: container.at] + head + data[container.body : end] + copies + data[end:]


def missing(data: bytes, spans: Spans, rng: random.Random, donor: bytes) -> bytes:
    """An entry less, counted or not."""
    found = _entry(spans, rng)
    if found is None:
        return data
    container, at, end = found
    head = data[container.at : container.body]
    if rng.random() < 0.8:
        head = sized(container.kind, container.count - 1)
    return data[: container.at] + head + data[container.body : at] + data[end:]


def more(data: bytes, spans: Spans, rng: random.Random, donor: bytes) -> bytes:
    """An unknown key with some value."""
    value = donor if rng.random() < 0.5 else EDGES[int(rng.random() * len(EDGES))]
    head = sized(MAP, spans[0].count + 1)
    return head + data[spans[0].body :] + b"\xa3new" + value


def key(data: bytes, spans: Spans, rng: random.Random, donor: bytes) -> bytes:
    """Another key, or what cannot be one."""
    keys = [span for span in spans if span.is_key] or spans
    value = KEYS[int(rng.random() * len(KEYS))] if rng.random() < 0.8 else donor
    return _put(data, _pick(keys, rng), value)


def number(data: bytes, spans: Spans, rng: random.Random, donor: bytes) -> bytes:
    """An integer a little off, or far."""
    span = _pick(_of(spans, INT), rng)
    if span.kind != INT:
        return edge(data, spans, rng, donor)
    body = data[span.at : span.end]
    value = int.from_bytes(body[1:]) if len(body) > 1 else body[0]
    chosen = (value + 1, value - 1, value * 2, value + 1_000, 1 << int(rng.random() * 64), 0)
    new = chosen[int(rng.random() * len(chosen))]
    if new < 0:
        return _put(data, span, b"\xff")
    return _put(data, span, b"\xcf" + (new & ((1 << 64) - 1)).to_bytes(8))


CHANGES: tuple[Change, ...] = (
    *(edge, edge, edge, other_value, other_value, other_value, other_type, lie, wide),
    *(twice, missing, more, key, number, number),
)
