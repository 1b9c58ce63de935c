"""From records to the account, with records written by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from loadtests.audit import Kill
from loadtests.demo.closing import Phase, judged, report, speeds, told
from loadtests.demo.lines import Line

if TYPE_CHECKING:
    from pathlib import Path

LINES = [
    Line("app", 1, b"one", poison=False),
    Line("app", 2, b"two", poison=False),
    Line("app", 3, b"bad", poison=True),
]
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


def a_run(folder: Path) -> None:
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
    found = told(tmp_path, LINES)
    account = judged(found, [12], [], max_attempts=1)
    assert not account.faults
    assert (account.pushed, account.acked, account.dead) == (3, 2, 1)


def test_a_line_that_was_never_confirmed_makes_it_wrong(tmp_path: Path):
    a_run(tmp_path)
    more = [*LINES, Line("app", 4, b"late", poison=False)]
    account = judged(told(tmp_path, more), [12], [], max_attempts=1)
    assert [fault.split(":")[0] for fault in account.faults] == ["pushed but never confirmed"]


def test_what_the_broker_lists_as_dead_must_have_been_seen_failing(tmp_path: Path):
    a_run(tmp_path)
    account = judged(told(tmp_path, LINES), [11, 12], [], max_attempts=1)
    assert len(account.faults) == 2  # 11 was acked, and never failed


def test_a_message_in_hand_at_a_kill_has_no_outcome(tmp_path: Path):
    a_run(tmp_path)
    write(tmp_path, "ben", begun(1, 7_000_000))
    found = told(tmp_path, LINES)
    assert any(not record.outcome for record in found.handled)
    assert judged(found, [12], [], max_attempts=1).faults
    again = [r._replace(deliveries=2) if r.consumer == "anna" else r for r in found.handled]
    kills = [Kill("ben", 7_000_100, 7_000_200)]
    assert not judged(found._replace(handled=again), [12], kills, max_attempts=1).faults


def test_speed_is_from_intended_send_to_first_start_without_poison(tmp_path: Path):
    a_run(tmp_path)
    phases = [Phase("first", 0, 1), Phase("rest", 1, 3)]
    first, rest = speeds(told(tmp_path, LINES), LINES, phases)
    assert (first.messages, first.p50) == (1, 1.0)
    assert (rest.messages, rest.p50) == (1, 3.0)


def test_the_report_says_right_or_wrong(tmp_path: Path):
    a_run(tmp_path)
    found = told(tmp_path, LINES)
    right = report(judged(found, [12], [], max_attempts=1), [], [], 1)
    wrong = report(judged(found, [], [], max_attempts=1), [], [], 1)
    assert "RIGHT" in right
    assert "WRONG:\n  lost: 1 (app:3#" in wrong
