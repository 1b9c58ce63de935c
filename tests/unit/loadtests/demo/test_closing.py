"""From records and histories to the account, with both written by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from loadtests.demo.closing import GROUP, Kill, Phase, judged, report, speeds, told
from loadtests.demo.lines import Line
from tests.audit.history import DAEMON
from tests.audit.told import Told

if TYPE_CHECKING:
    from pathlib import Path

LINES = [
    Line("app", 1, b"one", poison=False),
    Line("app", 2, b"two", poison=False),
    Line("app", 3, b"bad", poison=True),
]
LIMITS = {"max_attempts": 1}
START_US, PERIOD_US = 5_000_000, 2_000_000


def write(folder: Path, who: str, *notes: dict[str, object]) -> None:
    text = "".join(json.dumps(note) + "\n" for note in notes)
    (folder / f"{who}.jsonl").write_text(text)


def begun(line: int, at: int, **changes: object) -> dict[str, object]:
    usual = {
        "what": "begun",
        "at": at,
        "position": 10 + line,
        "message": LINES[line].what,
        "boot": 1,
        "grant": line + 1,
        "lane": "live",
        "deliveries": 1,
        "attempts": 0,
    }
    return usual | changes


def ended(what: str, line: int, at: int) -> dict[str, object]:
    return {"what": what, "at": at, "position": 10 + line}


def a_history(folder: Path) -> None:
    """Of the same run: ten and eleven were acked, twelve failed for good."""
    told = Told(GROUP)
    told.push("one", "two", "bad", first=10)
    lease = told.poll("anna", told.lease(10, 11, 12, data=["one", "two", "bad"]))
    told.settle("anna", lease, 10, 11)
    told.settle("anna", lease, 12, outcome="fail")
    text = "".join(json.dumps(line) + "\n" for line in told.lines)
    (folder / "anna.history").write_text(text)


def a_run(folder: Path) -> None:
    a_history(folder)
    write(
        folder,
        "producer",
        {"what": "start", "at": 0, "live_us": START_US, "period_us": PERIOD_US, "history": 0},
        {"what": "confirmed", "at": 0, "lines": [0, 1], "first": 10},
        {"what": "confirmed", "at": 0, "lines": [2], "first": 12},
        {"what": "end", "at": 0},
    )
    write(
        folder,
        "anna",
        {"what": "joined", "at": 0},
        begun(0, 5_001_000),
        ended("ack", 0, 5_001_100),
        begun(1, 7_003_000),
        ended("ack", 1, 7_003_100),
        begun(2, 9_000_500),
        ended("fail", 2, 9_000_600),
        {"what": "left", "at": 0},
    )


def test_a_right_run(tmp_path: Path):
    a_run(tmp_path)
    account = judged(tmp_path, told(tmp_path, LINES), [12], [Kill(DAEMON, 1)], LIMITS)
    assert account.faults == []
    assert (account.pushed, account.settled, account.dead, account.failures) == (3, 2, 1, 1)


def test_a_line_that_was_never_confirmed_makes_it_wrong(tmp_path: Path):
    a_run(tmp_path)
    more = [*LINES, Line("app", 4, b"late", poison=False)]
    account = judged(tmp_path, told(tmp_path, more), [12], [], LIMITS)
    assert [fault.split(":")[0] for fault in account.faults] == ["every line is confirmed"]


def test_what_the_broker_lists_as_dead_must_not_have_been_acked(tmp_path: Path):
    a_run(tmp_path)
    account = judged(tmp_path, told(tmp_path, LINES), [11, 12], [], LIMITS)
    assert [fault.split(":")[0] for fault in account.faults] == [
        "a message is dead for a reason, and not also acked"
    ]


def test_speed_is_from_intended_send_to_first_start_without_poison(tmp_path: Path):
    a_run(tmp_path)
    phases = [Phase("first", 0, 1), Phase("rest", 1, 3)]
    first, rest = speeds(told(tmp_path, LINES), LINES, phases)
    assert (first.messages, first.p50) == (1, 1.0)
    assert (rest.messages, rest.p50) == (1, 3.0)


def test_the_report_says_right_or_wrong(tmp_path: Path):
    a_run(tmp_path)
    found = told(tmp_path, LINES)
    right = report(judged(tmp_path, found, [12], [], LIMITS), [], [], 1)
    wrong = report(judged(tmp_path, found, [], [], LIMITS), [], [], 1)
    assert "RIGHT" in right
    assert "WRONG:\n  every confirmed message ends: 1 ('bad' at 12" in wrong
