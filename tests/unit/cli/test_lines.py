from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from layby.cli import lines
from layby.cli.lines import lines_of
from layby.cli.pipe import Pipe
from layby.cli.trouble import Trouble


def reader(*chunks: bytes) -> Callable[[int, int], bytes]:
    left = [*chunks, b""]
    return lambda fd, size: left.pop(0)


def all_lines(*chunks: bytes) -> list[bytes]:
    return [line for some in lines_of(0, reader(*chunks)) for line in some]


def test_lf_and_crlf_are_cut_and_empty_lines_kept() -> None:
    assert all_lines(b"a\r\nb\n\n\r\nc\n") == [b"a", b"b", b"", b"", b"c"]


def test_a_last_line_needs_no_end() -> None:
    assert all_lines(b"a\nb") == [b"a", b"b"]
    assert all_lines(b"a\nb\r") == [b"a", b"b\r"]


def test_lines_may_be_cut_anywhere() -> None:
    assert all_lines(b"ab", b"c\r", b"\nd", b"\n") == [b"abc", b"d"]


def test_lines_come_as_soon_as_they_are_there() -> None:
    ours, theirs = os.pipe()
    os.write(theirs, b"one\ntwo\nthr")
    found = lines_of(ours)
    assert next(found) == [b"one", b"two"]
    os.write(theirs, b"ee")
    os.close(theirs)
    assert list(found) == [[b"three"]]
    os.close(ours)


def test_an_endless_line_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LINE_MAX", 10)
    with pytest.raises(Trouble, match="longer than"):
        all_lines(b"x" * 8, b"y" * 8)


def test_a_line_is_written_whole() -> None:
    ours, theirs = os.pipe()
    assert Pipe(theirs).write(b"line\n")
    assert os.read(ours, 100) == b"line\n"
    os.close(ours)
    os.close(theirs)


def test_a_closed_pipe_is_told() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    assert not Pipe(theirs).write(b"line\n")
    os.close(theirs)
