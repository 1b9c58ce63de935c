"""The auditor's cost grows with the history's length, not with its square.

Judged by counted steps of the interpreter, so that a busy machine changes nothing.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.audit.auditor import audit
from tests.audit.told import Told

if TYPE_CHECKING:
    from types import FrameType

    from tests.audit.history import Line

GROUPS = ("g", "h")
CLIENTS = 5


def a_long_run(rounds: int) -> list[Line]:
    """Sessions that report and settle; one message in ten fails and comes again. Ten lines a
    round and group."""
    told = Told()
    told.writer.event("limits", backoff_ms=[1], max_attempts=9, max_out=99, leases_per_session=99)
    for at in range(1, rounds + 1):
        told.push(f"m{at}", first=at, producer="aa", seq=at)
        for group in GROUPS:
            told.group = group
            client = f"{group}{at % CLIENTS}"
            session, n = client.encode().hex(), at // CLIENTS + 1
            asked = {"session": session, "n": n, "got": n - 1}
            lease = told.poll(client, told.lease(at), **asked)
            told.lines[-1]["n"] = n
            who = {"group": group, "session": session}
            told.call(client, "extend", {}, working=[[at, at, 0]], hold=[], **who)
            told.settle(client, lease, at, outcome="ack" if at % 10 else "fail")
            if at % 10 == 0:
                again = told.lease(at, lane="deferred", deliveries=[2], attempts=[1])
                told.settle("z", told.poll("z", again), at)
    told.writer.event("end", drained=True)
    return told.lines


def steps(lines: list[Line]) -> int:
    """Calls that the interpreter makes to judge it."""
    made = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal made
        made += 1

    sys.setprofile(count)
    try:
        account = audit(lines)
    finally:
        sys.setprofile(None)
    assert account.faults == []
    return made


@pytest.mark.slow
def test_ten_times_the_history_costs_about_ten_times_as_much():
    short, long = a_long_run(300), a_long_run(3_000)
    assert len(long) > 40_000
    assert steps(long) / steps(short) < 1.2 * len(long) / len(short)
