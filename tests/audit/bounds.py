"""Every limit that was stated: of an answer, of a session, of a group.

Owns those promises. What a history does not state is not judged. Must never know outcomes.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from tests.audit.evidence import MS, Breach
from tests.audit.grants import session_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.audit.evidence import Call, Case
    from tests.audit.grants import Book, Grant

ANSWER = "an answer keeps to what was asked for"
OUT = "no more is out than allowed"
ATTEMPTS = "what has used up its attempts is not handed out"
BOOT = "the boot never goes back"
ONE_END = "a request gets one answer"

LEASES_MAX = 16
MAX_WAIT_MS = 600_000
LEASE_MS_MIN, LEASE_MS_MAX = 10, 3_600_000


def of_run(case: Case) -> Iterator[Breach]:
    for line in case.strays:
        yield Breach(ONE_END, f"an end of a call that {line['client']} never made", [line])
    calls = [call for some in case.calls.values() for call in some]
    ends = [(call.t1, call.said("boot"), call.end) for call in calls if call.said("boot")]
    ends.sort(key=lambda end: end[:2])
    at, highest = 0, None
    for call in sorted(calls, key=lambda call: call.t0):
        while at < len(ends) and ends[at][0] < call.t0:
            if highest is None or ends[at][1] > highest[1]:
                highest = ends[at]
            at += 1
        boot = call.said("boot")
        if boot and highest is not None and boot < highest[1]:
            text = f"boot {boot} answers, after boot {highest[1]} has"
            yield Breach(BOOT, text, [highest[2], *call.lines])


def breaches(case: Case, book: Book) -> Iterator[Breach]:
    limits = case.limits(book.name)
    yield from _answers(case, book, limits)
    most = limits.get("max_attempts")
    for grant in book.grants():
        if most and max(grant.attempts.values(), default=0) >= most:
            text = f"{grant.name} has a message with {max(grant.attempts.values())} attempts of "
            yield Breach(ATTEMPTS, text + str(most), [grant.line])
    for boot in book.boots:
        if limits.get("max_out"):
            yield from _out(book, boot, limits["max_out"])
        if limits.get("leases_per_session"):
            yield from _leases(book, boot, limits["leases_per_session"])


def _answers(case: Case, book: Book, limits: dict[str, Any]) -> Iterator[Breach]:
    """A poll that is sent again may ask for something else: the most of it counts."""
    credit: dict[tuple[str, int], int] = defaultdict(int)
    idle: dict[tuple[str, int], int] = defaultdict(int)
    polls = [call for call in case.of("poll") if call["group"] == book.name]
    overdue_us = _overdue_from(case, limits)
    for number, call in enumerate(polls):
        key = _key(call, number)
        credit[key] = max(credit[key], call["messages"])
        idle[key] = max(idle[key], call.get("idle", 1))
    for number, call in enumerate(polls):
        leases = call.said("leases") if call.ok else None
        if leases:
            key = _key(call, number)
            may_guard = len(leases) == 1 and call.t1 >= overdue_us
            for text in _judge(call, leases, credit[key], idle[key] or int(may_guard), limits):
                yield Breach(ANSWER, text, call.lines)


def _overdue_from(case: Case, limits: dict[str, Any]) -> int:
    """From then on deferred work may wait for so long that it is given to whoever asks."""
    jumps_us = sum(max(0, line["by_us"]) for line in case.events["wall"])
    wait_us = limits.get("max_wait_ms", MAX_WAIT_MS) * MS
    return int(case.lines[0]["t"]) + wait_us - jumps_us


def _key(call: Call, number: int) -> tuple[str, int]:
    return (session_of(call), call["n"]) if call.get("n") else ("", number)


def _judge(
    call: Call, leases: list[dict[str, Any]], credit: int, idle: int, limits: dict[str, Any]
) -> Iterator[str]:
    messages = sum(len(told["data"]) for told in leases)
    if messages > credit:
        yield f"{messages} messages for a poll that asked for {credit}"
    if len(leases) > LEASES_MAX:
        yield f"{len(leases)} leases in one answer, of {LEASES_MAX}"
    if len(leases) > 1 and any(told.get("alone") for told in leases):
        yield "a lease marked alone is not alone in its answer"
    if not idle and any(told["lane"] == "deferred" for told in leases):
        yield "deferred work for a poll without an idle handler"
    if call.get("n") and call.said("n") != call["n"]:
        yield f"the answer to poll {call['n']} says it is to poll {call.said('n')}"
    wanted = call.get("lease_ms") or limits.get("lease_ms")
    lasts = {told["lease_ms"] for told in leases}
    if wanted and lasts != {min(max(wanted, LEASE_MS_MIN), LEASE_MS_MAX)}:
        yield f"leases of {sorted(lasts)} ms where {wanted} was asked for"


def _out(book: Book, boot: int, most: int) -> Iterator[Breach]:
    """Counted is what certainly was out at the same time."""
    steps: list[tuple[int, int, Grant]] = []
    for grant in book.boots[boot]:
        for at in grant.places:
            until = grant.held_until(at)
            if until > grant.high:
                steps += [(grant.high, 1, grant), (until, -1, grant)]
    out = 0
    for _, change, grant in sorted(steps, key=lambda step: step[:2]):
        out += change
        if out > most:
            text = f"{out} messages of {book.name} are out at the same time, of {most}"
            yield Breach(OUT, text, [grant.line])
            return


def _leases(book: Book, boot: int, most: int) -> Iterator[Breach]:
    steps: dict[str, list[tuple[int, int, Grant]]] = defaultdict(list)
    for grant in book.boots[boot]:
        until = max(grant.held_until(at) for at in grant.places)
        if until > grant.high:
            steps[grant.session] += [(grant.high, 1, grant), (until, -1, grant)]
    for session, changes in steps.items():
        held = 0
        for _, change, grant in sorted(changes, key=lambda step: step[:2]):
            held += change
            if held > most:
                text = f"session {session} holds {held} leases at the same time, of {most}"
                yield Breach(OUT, text, [grant.line])
                break
