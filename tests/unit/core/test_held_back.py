"""Answers that wait for a commit: no time runs for leases that nobody has seen."""

from laybyd.core import effects as fx
from laybyd.core import events as ev
from tests.builders import SECOND, Table, a_verdict, delivered, positions, settings


def held_back(**group) -> tuple[Table, fx.Grant]:
    """A poll that settles 1 has been matched with 2, but its commit takes long."""
    table = Table(settings({"lease_us": SECOND, **group}))
    table.push("app")
    first = table.lease("one")
    table.hold = {fx.Commit}
    table.push("app")
    assert delivered(table.poll("one", verdicts=(a_verdict(first),))) == []
    return table, first


def let_go(table: Table) -> list[fx.Effect]:
    sent = table.release()
    table.hold = set()
    return sent


def test_a_lease_lasts_from_when_its_answer_goes_out():
    table, _ = held_back(max_attempts=1)
    table.wait(5 * SECOND)
    assert table.group()["out"] == 1
    (answer,) = let_go(table)
    assert positions(answer.leases[0]) == [2]
    table.wait(SECOND - 1_000)
    assert table.settle(answer.leases[0]) == []
    assert table.group()["dead"] == 0


def test_it_ends_as_any_other_afterwards():
    table, _ = held_back(max_attempts=1)
    table.wait(5 * SECOND)
    let_go(table)
    table.wait(2 * SECOND)
    assert table.parked("dead") == [(2, 2)]


def test_the_same_poll_again_is_given_the_same_lease_when_it_may_be():
    table, first = held_back()
    table.wait(5 * SECOND)
    assert delivered(table.poll("one", n=2, verdicts=(a_verdict(first),))) == []
    one, again = let_go(table)
    assert delivered([one]) == delivered([again]) == [2]
    assert one.leases[0].lease == again.leases[0].lease


def test_what_was_given_up_meanwhile_does_not_go_out():
    table, first = held_back()
    table.poll("one", n=3, got=1, verdicts=(a_verdict(first),))
    given_up, answer = let_go(table)
    assert (given_up.n, given_up.leases, given_up.why) == (2, (), "replaced")
    assert (answer.n, delivered([answer])) == (3, [2])


def test_of_a_deleted_group_nothing_goes_out():
    table, _ = held_back()
    table.operate_later("group_delete", group="g")
    sent = [one for one in let_go(table) if isinstance(one, fx.Deliver)]
    assert [(one.leases, one.why) for one in sent] == [((), "deleted")]


def test_a_process_that_stood_still_moves_no_time_that_has_not_begun():
    table, _ = held_back()
    table.step(ev.Late(3 * SECOND))
    table.wait(5 * SECOND)
    (answer,) = let_go(table)
    table.wait(SECOND // 2)
    assert table.settle(answer.leases[0]) == []


def test_the_first_poll_of_a_group_waits_for_its_record():
    table = Table(settings({"lease_us": SECOND}))
    table.push("app")
    table.hold = {fx.Commit}
    assert table.poll("one") == []
    table.wait(5 * SECOND)
    (answer,) = let_go(table)
    table.wait(SECOND // 2)
    assert table.settle(answer.leases[0]) == []
