from __future__ import annotations

from typing import Any

import pytest

from layby.cli.bench.crew import Crew, take
from layby.cli.bench.roles import Plan, body, sent_at, steps
from layby.cli.trouble import Trouble


def add(report: Any, stop: Any, one: int, other: int) -> None:
    report(one + other)


def fail(report: Any, stop: Any) -> None:
    raise ValueError("no good")


def last(report: Any, stop: Any) -> None:
    report("begun")
    while not stop.is_set():
        pass


@pytest.mark.parametrize("threads", [True, False])
def test_work_elsewhere(threads: bool) -> None:
    with Crew(threads) as crew:
        assert take(crew.start(add, 1, 2)) == 3


@pytest.mark.parametrize("threads", [True, False])
def test_its_failure_is_ours(threads: bool) -> None:
    with Crew(threads) as crew, pytest.raises(Trouble, match="ValueError: no good"):
        take(crew.start(fail))


@pytest.mark.parametrize("threads", [True, False])
def test_leaving_ends_it(threads: bool) -> None:
    with Crew(threads) as crew:
        assert take(crew.start(last)) == "begun"


def test_a_death_is_told() -> None:
    with Crew() as crew:
        worker = crew.start(last)
        assert take(worker) == "begun"
        crew._workers[0].kill()
        with pytest.raises(Trouble, match="died"):
            take(worker)


def plan(**words: Any) -> Plan:
    usual = {"url": "", "topic": "t", "group": "g", "size": 200, "messages": None, "seconds": 0.0}
    return Plan(**usual | words)


class Flag:
    def __init__(self, value: bool) -> None:
        self.value = value

    def is_set(self) -> bool:
        return self.value

    def set(self) -> None:
        self.value = True


def test_steps_add_up_to_the_messages() -> None:
    assert list(steps(plan(messages=25), Flag(False), 10)) == [10, 10, 5]


def test_or_last_the_seconds() -> None:
    assert list(steps(plan(), Flag(False), 10)) == []
    assert len(list(steps(plan(seconds=0.01), Flag(False), 10))) > 1


def test_or_end_when_told() -> None:
    flag = Flag(False)
    found = steps(plan(seconds=60.0), flag, 10)
    assert next(found) == 10
    flag.set()
    assert list(found) == []


def test_a_message_tells_when_it_was_sent() -> None:
    assert len(body(200, 1.5)) == 200
    assert sent_at(body(8, 1.5)) == 1.5
