from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from loadtests.demo import lines
from loadtests.demo.lines import Source, asked_for, chosen, machine, mixed, sample, shares

if TYPE_CHECKING:
    from pathlib import Path


def test_each_file_is_a_topic_named_after_it(tmp_path: Path):
    (tmp_path / "web server.log").write_bytes(b"one\r\ntwo\n\nfour")
    (tmp_path / "syslog").write_bytes(b"a\n")
    (tmp_path / "empty.log").write_bytes(b"")
    found = asked_for([str(path) for path in sorted(tmp_path.iterdir())])
    assert found == [
        Source("syslog", [b"a"]),
        Source("web-server", [b"one", b"two", b"", b"four"]),
    ]


def test_files_of_one_name_are_kept_apart(tmp_path: Path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "app.log").write_text(f"{folder}\n")
    paths = [str(tmp_path / folder / "app.log") for folder in ("a", "b")]
    assert asked_for(paths) == [Source("app", [b"a"]), Source("app-2", [b"b"])]


def test_a_reserved_name_is_not_taken(tmp_path: Path):
    (tmp_path / "layby.thing.log").write_text("x\n")
    (source,) = asked_for([str(tmp_path / "layby.thing.log")])
    assert source.topic == "log.layby.thing"


def test_a_file_that_is_not_there_is_an_error():
    with pytest.raises(OSError, match="nowhere"):
        asked_for(["/nowhere.log"])


def test_the_machine_gives_what_is_readable_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lines.shutil, "which", lambda name: None)
    (tmp_path / "syslog").write_bytes(b"one\ntwo\n")
    (tmp_path / "wtmp").write_bytes(b"\0\1\2\n")
    (tmp_path / "syslog.1.gz").write_bytes(b"packed\n")
    (tmp_path / "apt").mkdir()
    (tmp_path / "apt" / "history.log").write_bytes(b"three\n")
    found = dict(machine(tmp_path))
    assert found == {"syslog": [b"one", b"two"], "history": [b"three"]}


def test_only_the_newest_part_of_a_large_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lines, "TAIL_BYTES", 10)
    (tmp_path / "large.log").write_bytes(b"a long first line\nb\nc\n")
    (source,) = asked_for([str(tmp_path / "large.log")])
    assert source.lines == [b"b", b"c"]


def test_the_sample_fills_up_to_any_number():
    assert sum(len(source.lines) for source in sample(1_234)) == 1_234
    assert len(sample(1_234)) == 10


def test_small_sources_give_all_and_large_ones_the_rest_alike():
    assert shares({"small": 10, "a": 500, "b": 900}, 210) == {"small": 10, "a": 100, "b": 100}
    assert shares({"a": 3, "b": 4}, 100) == {"a": 3, "b": 4}
    assert shares({}, 100) == {}


def test_without_files_there_are_always_as_many_lines(monkeypatch: pytest.MonkeyPatch):
    mine = [Source("syslog", [b"x"] * 50), Source("huge", [b"y"] * 30_000)]
    monkeypatch.setattr(lines, "machine", lambda: mine)
    assert sum(len(source.lines) for source in chosen([])) == lines.LINES
    monkeypatch.setattr(lines, "machine", lambda: mine[:1])
    found = chosen([])
    assert sum(len(source.lines) for source in found) == lines.LINES
    assert len({source.topic for source in found}) == len(found)


def test_lines_of_all_sources_flow_side_by_side_and_in_order():
    mix = mixed([Source("a", [b"1", b"2", b"3", b"4"]), Source("b", [b"x", b"y"])])
    assert [line.topic for line in mix] == ["a", "b", "a", "a", "b", "a"]
    assert [line.number for line in mix if line.topic == "a"] == [1, 2, 3, 4]


@pytest.mark.parametrize(("total", "poison"), [(20_000, 200), (1_000, 10), (99, 1), (1, 1)])
def test_one_line_in_a_hundred_is_poison_after_the_clean_part(total: int, poison: int):
    mix = mixed([Source("a", [b"x"] * total)])
    places = [i for i, line in enumerate(mix) if line.poison]
    assert len(places) == poison
    assert min(places) >= int(total * lines.CLEAN_SHARE)


def test_what_tells_topic_number_and_bytes_apart():
    a, b = mixed([Source("a", [b"same", b"same"])])
    assert a.what != b.what
    assert lines.identity(a.key, b"other") != a.what
