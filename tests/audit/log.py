"""What the log must hold: every confirmed push, once, at its own position, with its own bytes.

Owns the auditor's picture of the log, made of confirms, deliveries and reads. Must never know of
groups' rules or leases.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from tests.audit.evidence import Breach, positions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.audit.evidence import Call, Case
    from tests.audit.history import Line

ONCE = "a push is stored once"
BYTES = "a position holds what was pushed, and never anything else"
REFUSED = "a refused push is never visible"
LOST = "a confirmed push is in the log"
IN_ORDER = "a producer's pushes to a topic are stored in order, and none is left out"
DENSE = "the log has no holes"


class Sight(NamedTuple):
    """Somebody saw this text at this position."""

    position: int
    topic: str
    text: str
    line: Line


class Log:
    """`pushes` are the calls that named a text, `at` where it was seen, `confirmed` where the
    broker said it is."""

    def __init__(self, case: Case, given: Iterable[Sight]) -> None:
        self.case = case
        self.pushes: dict[str, list[Call]] = defaultdict(list)
        self.confirmed: dict[int, Sight] = {}
        self.confirmed_us: dict[int, int] = {}
        self.clashes: list[Breach] = []
        self.seen: dict[int, Sight] = {}
        self.where: dict[str, dict[int, Sight]] = defaultdict(dict)
        for call in case.of("push"):
            self._pushed(call)
        for sight in _reads(case):
            self._saw(sight)
        for sight in given:
            self._saw(sight)

    def _pushed(self, call: Call) -> None:
        for text in call["data"]:
            self.pushes[text].append(call)
        first = call.said("first", 0)
        if not call.ok or not first:
            return
        assert call.end is not None
        for position, text in enumerate(call["data"], first):
            sight = Sight(position, call["topic"], text, call.end)
            other = self.confirmed.setdefault(position, sight)
            if other is not sight:
                said = f"position {position} was confirmed for {other.text!r} and for {text!r}"
                self.clashes.append(Breach(ONCE, said, [other.line, call.end]))
            self.confirmed_us[position] = call.t1
            self._saw(sight)

    def _saw(self, sight: Sight) -> None:
        first = self.seen.setdefault(sight.position, sight)
        if (first.text, first.topic) != (sight.text, sight.topic):
            text = (
                f"position {sight.position} held {first.text!r} of {first.topic}, then "
                f"{sight.text!r} of {sight.topic}"
            )
            self.clashes.append(Breach(BYTES, text, [first.line, sight.line]))
        self.where[sight.text].setdefault(sight.position, sight)

    # ---- judging

    def breaches(self) -> Iterator[Breach]:
        yield from self.clashes
        for text, places in self.where.items():
            yield from self._judge(text, list(places.values()))
        yield from self._producers()
        yield from self._holes()
        yield from self._final_read()

    def _judge(self, text: str, places: list[Sight]) -> Iterator[Breach]:
        calls = self.pushes.get(text, [])
        if not calls:
            at = places[0]
            yield Breach(BYTES, f"{text!r} at {at.position} was never pushed", [at.line])
            return
        possible = [call for call in calls if not call.refused]
        if not possible:
            said = f"{text!r} was refused and is at {places[0].position}"
            yield Breach(REFUSED, said, [*calls[0].lines, places[0].line])
        elif len(places) > sum(call["data"].count(text) for call in possible):
            at = sorted(sight.position for sight in places)
            said = f"{text!r} was pushed {len(possible)} times and is at {at}"
            yield Breach(ONCE, said, [*possible[0].lines, *(sight.line for sight in places[:3])])

    def _producers(self) -> Iterator[Breach]:
        by_producer: dict[str, list[Call]] = defaultdict(list)
        for call in self.case.of("push"):
            if call.get("producer") is not None:
                by_producer[call["producer"]].append(call)
        for calls in by_producer.values():
            calls.sort(key=lambda call: call["seq"])
            yield from _in_order(calls)

    def certain(self) -> Iterator[tuple[str, Call]]:
        """Every text that must be in the log: confirmed, or pushed before something confirmed
        under the same producer."""
        last: dict[str, int] = defaultdict(int)
        for call in self.case.of("push"):
            if call.ok and call.get("producer") is not None:
                last[call["producer"]] = max(last[call["producer"]], call["seq"])
        for call in self.case.of("push"):
            if call.ok or (call.get("producer") and call["seq"] < last[call["producer"]]):
                for text in call["data"]:
                    yield text, call

    def _holes(self) -> Iterator[Breach]:
        """Within an answer to a read of everything; what was deleted leaves holes."""
        if self.case.calls.get("topic_delete"):
            return
        for call in self.case.of("read"):
            if call.ok and list(call["topics"]) == ["*"]:
                found = [at for block in call.said("blocks") for at in positions(block["ranges"])]
                for one, other in pairwise(found):
                    if other != one + 1:
                        text = f"a read of everything goes from position {one} to {other}"
                        yield Breach(DENSE, text, call.lines)

    def _final_read(self) -> Iterator[Breach]:
        """What was confirmed before a read of its position began must be in its answer, unless the
        log may have been trimmed: up to its `start` if that is known, else to what it shows."""
        if self.case.calls.get("topic_delete"):
            return
        for call in self.case.of("read"):
            if not call.ok or list(call["topics"]) != ["*"] or not isinstance(call["from"], int):
                continue
            there = {at for block in call.said("blocks") for at in positions(block["ranges"])}
            start = call.said("start", min(there, default=call.said("next")))
            first = max(call["from"], start)
            for position in range(first, call.said("next")):
                sight = self.confirmed.get(position)
                if sight and position not in there and self.confirmed_us[position] < call.t0:
                    text = f"{sight.text!r} was confirmed at {position} and is not there"
                    yield Breach(LOST, text, [sight.line, *call.lines])


def _reads(case: Case) -> Iterator[Sight]:
    for call in case.of("read"):
        if call.ok and call.end is not None:
            for block in call.said("blocks"):
                places = zip(positions(block["ranges"]), block["data"], strict=True)
                for position, text in places:
                    yield Sight(position, block["topic"], text, call.end)


def _in_order(calls: list[Call]) -> Iterator[Breach]:
    """Of one producer, by sequence. Its topics may overtake each other, within what is flushed
    together; a topic's own pushes may not."""
    refused: Call | None = None
    last: dict[str, Call] = {}
    for call in calls:
        if call.refused:
            refused = refused or call
        elif call.ok:
            if refused is not None:
                text = f"push {call['seq']} was confirmed although {refused['seq']} was refused"
                yield Breach(IN_ORDER, text, [*refused.lines, *call.lines])
            if call.said("first"):
                before = last.get(call["topic"])
                if before is not None and before.said("first") >= call.said("first"):
                    text = f"push {before['seq']} is stored behind push {call['seq']}"
                    yield Breach(IN_ORDER, text, [*before.lines, *call.lines])
                last[call["topic"]] = call
