from __future__ import annotations

from typing import TYPE_CHECKING

from loadtests.demo.records import Follower, Record

if TYPE_CHECKING:
    from pathlib import Path


def test_a_follower_sees_each_line_once(tmp_path: Path):
    follower = Follower(tmp_path)
    with Record(tmp_path / "anna.jsonl") as record:
        record.note("joined")
        assert [(who, note["what"]) for who, note in follower.news()] == [("anna", "joined")]
        record.note("ack", position=3)
        ((who, note),) = follower.news()
    assert (who, note["what"], note["position"]) == ("anna", "ack", 3)
    assert not list(follower.news())


def test_a_line_that_is_not_whole_waits(tmp_path: Path):
    path = tmp_path / "anna.jsonl"
    follower = Follower(tmp_path)
    path.write_bytes(b'{"what":"joi')
    assert not list(follower.news())
    path.write_bytes(b'{"what":"joined"}\n')
    assert [note["what"] for _, note in follower.news()] == ["joined"]
