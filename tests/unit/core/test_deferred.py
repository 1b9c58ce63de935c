"""The defer queue's head: what is loaded while records come and go."""

from laybyd.core.deferred import Deferred
from laybyd.core.types import Parked


def a_record(first: int, due_us: int) -> Parked:
    return Parked(1, first, first, "app", 1, due_us, 0, 100, first)


def test_a_record_that_comes_back_while_the_queue_is_read_waits_once():
    deferred = Deferred("g", 1, records=0, head_records=2)
    returning = a_record(1, due_us=100)
    deferred.insert(returning)
    (taken,) = deferred.take(now=100, messages=1, records=1)
    earlier = [a_record(first, due_us=10 * first) for first in range(2, 7)]
    for record in earlier:
        deferred.insert(record)
    head = deferred.take(now=100, messages=10, records=10)
    assert [waits.first for waits in head] == [2, 3], "the rest lies on the disk alone"
    deferred.load()
    deferred.put_back(taken.record, undone=1)
    deferred.loaded([*earlier[2:], returning], more=False)
    assert [record.first for record in deferred.waiting()] == [1, 4, 5, 6]
    again = deferred.take(now=100, messages=10, records=10)
    assert [(waits.first, waits.undone) for waits in again] == [(4, 0), (5, 0), (6, 0), (1, 0)]


def test_what_is_not_due_yet_stays_though_its_elders_go():
    deferred = Deferred("g", 1, records=0, head_records=10)
    for first, due_us in ((1, 100), (2, 101), (3, 99)):
        deferred.insert(a_record(first, due_us))
    taken = deferred.take(now=100, messages=10, records=10)
    assert [waits.first for waits in taken] == [3, 1]
    assert deferred.next_due == 101
