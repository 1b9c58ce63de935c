"""Look-ups of parked records: one read of a lane at a time, however many wait for it."""

import pytest

from laybyd.core import effects as fx
from laybyd.core import events as ev
from laybyd.core.lookups import AT_ONCE
from laybyd.core.types import Outcome
from tests.builders import MS, Table, a_caller, a_verdict
from tests.unit.core.test_late import deep_queue


def answers_to(table: Table, find: fx.Effect) -> list[fx.Effect]:
    """What one look-up brings, while others stay on their way."""
    return table.take(table.carry_out(find))


@pytest.mark.parametrize("outcome", list(Outcome))
def test_outcomes_that_come_while_another_is_looked_up_share_the_next_read(outcome):
    table, leases = deep_queue()
    table.hold = {fx.FindParked}
    for lease in leases[16:] * 5:
        table.step(ev.Settle(a_caller(), "g", (a_verdict(lease, outcome=outcome),)))
    reads, replies = 0, []
    while table.held:
        lanes = [find.lane for find in table.held]
        assert len(set(lanes)) == len(lanes), "one read a lane, however many wait"
        reads += 1
        replies += answers_to(table, table.held.pop(0)) + table.wait(10 * MS)
    refused = [one.fields["refused"] for one in replies if isinstance(one, fx.Reply)]
    assert refused == [()] * 20, "a repeat is answered alike"
    assert reads <= 6, "the first by itself, all others at once, and what that changes once more"


def test_what_waits_to_be_looked_up_is_read_in_portions():
    table, leases = deep_queue()
    table.hold = {fx.FindParked}
    release = a_verdict(leases[19], outcome=Outcome.RELEASE)
    for _ in range(AT_ONCE + 2):
        table.step(ev.Settle(a_caller(), "g", (release,)))
    answered = []
    while table.held:
        answered.append(len(answers_to(table, table.held.pop())))
    assert answered == [1, AT_ONCE, 1]
