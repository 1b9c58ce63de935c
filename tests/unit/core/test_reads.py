"""Reads: messages without a group."""

from laybyd.core import effects as fx
from laybyd.core import events as ev
from tests.builders import MS, SECOND, START, Table, a_caller, settings


def a_read(**fields) -> ev.Read:
    given = {
        "caller": a_caller("reader"),
        "topics": ("app",),
        "first": 1,
        "at_us": None,
        "until": None,
        "limit": 100,
        "limit_bytes": 1 << 20,
        "wait_ms": 0,
    }
    return ev.Read(**(given | fields))


def seen(effect: fx.ReadOut) -> list[int]:
    return [
        at
        for _, pieces in effect.blocks
        for piece in pieces
        for at in range(piece.first, piece.last + 1)
    ]


def read(table: Table, **fields) -> tuple[list[int], int]:
    (answer,) = table.step(a_read(**fields))
    return seen(answer), answer.next


def a_table() -> Table:
    table = Table()
    for topic in ("app", "web", "app", "app"):
        table.push(topic, 2)
    return table


def test_a_read_gives_what_is_there_and_where_to_go_on():
    assert read(a_table()) == ([1, 2, 5, 6, 7, 8], 9)


def test_small_neighbours_are_one_block():
    (answer,) = a_table().step(a_read())
    assert [len(pieces) for _, pieces in answer.blocks] == [3]
    (answer,) = a_table().step(a_read(topics=("*",)))
    assert [topic for topic, _ in answer.blocks] == ["app", "web", "app"]


def test_a_read_can_begin_and_end_anywhere():
    assert read(a_table(), first=2, until=7) == ([2, 5, 6], 7)
    assert read(a_table(), first=5, until=5) == ([], 5)


def test_limits_cut_an_answer_but_one_message_always_comes():
    assert read(a_table(), limit=3) == ([1, 2, 5], 6)
    assert read(a_table(), limit_bytes=1) == ([1], 2)


def test_an_answer_has_at_most_sixteen_blocks():
    table = Table()
    for _ in range(20):
        table.push("app", 1, size=60_000)
    assert read(table, limit_bytes=1 << 30) == (list(range(1, 17)), 17)


def test_a_read_goes_on_over_rows_it_does_not_want():
    table = Table()
    for _ in range(1_200):
        table.push("web")
    table.push("app")
    assert read(table) == ([1_201], 1_202)


def test_a_read_may_begin_at_a_time():
    table = Table()
    table.push("app")
    table.wait(SECOND)
    table.push("app")
    assert read(table, first=None, at_us=START + MS) == ([2], 3)


def test_a_read_of_the_latest_waits_for_what_comes():
    table = a_table()
    assert table.step(a_read(first=None, wait_ms=1_000)) == []
    table.push("web", 1)
    assert table.sent == []
    table.push("app", 1)
    (answer,) = table.sent
    assert (seen(answer), answer.next) == ([10], 11)
    table.push("app", 1)
    assert len(table.sent) == 1


def test_a_read_that_waits_in_vain_is_told_how_far_it_came():
    table = a_table()
    table.step(a_read(first=None, wait_ms=1_000))
    table.push("web", 3)
    (answer,) = table.wait(SECOND)
    assert (answer.blocks, answer.next) == ((), 12)


def test_rows_that_come_while_others_are_read_are_not_lost():
    table = a_table()
    table.hold = {fx.LoadRows}
    table.step(a_read(first=8, until=10, limit=1, wait_ms=1_000))
    table.push("app", 2)
    (answer,) = table.release()
    assert seen(answer) == [8]


def test_messages_of_a_deleted_topic_are_not_read():
    table = a_table()
    table.operate("topic_delete", topic="app")
    table.push("app", 1)
    assert read(table) == ([9], 10)


def test_a_read_waits_no_longer_than_the_cap():
    table = Table(settings(wait_us_max=SECOND))
    table.step(a_read(first=None, wait_ms=60_000))
    assert len(table.wait(SECOND)) == 1


def test_reads_under_way_are_bounded():
    table = Table()
    for number in range(80):
        for _ in range(16):
            table.step(a_read(caller=a_caller(f"r{number}"), first=None, wait_ms=10_000))
    refused = [one for one in table.sent if isinstance(one, fx.Refuse)]
    assert len(refused) == 80 * 16 - 1_024
    assert refused[0].code == "over_limit"
    table.wait(10 * SECOND)
    for _ in range(17):
        table.step(a_read(first=None, wait_ms=10_000))
    assert isinstance(table.sent[-1], fx.Refuse)
