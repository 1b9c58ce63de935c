"""Log lines: for people, for machines, and not too many of them."""

import io
import json
import logging

import pytest

from laybyd import log


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def logger(logging_as_before):
    return logging.getLogger("laybyd.test")


def test_a_terminal_gets_short_lines(logger):
    out = Terminal()
    log.set_up(stream=out)
    logger.warning("store is nearly full", extra=log.facts("space", used="9GiB"))
    assert out.getvalue()[9:] == "warning store is nearly full used=9GiB\n"


def test_anything_else_gets_one_object_per_line(logger):
    out = io.StringIO()
    log.set_up(stream=out)
    logger.info("%s groups", 3, extra=log.facts("start", boot=7, store=b"\x01\xff", level="no"))
    line = json.loads(out.getvalue())
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "laybyd.test",
        "event": "start",
        "text": "3 groups",
        "boot": 7,
        "store": "01ff",
    }


@pytest.mark.parametrize(("form", "first"), [("text", "1"), ("json", "{")])
def test_the_form_can_be_named(logger, form, first):
    out = io.StringIO() if form == "text" else Terminal()
    log.set_up(form=form, stream=out)
    logger.info("hello")
    assert (out.getvalue()[0] == "{") == (first == "{")


def test_a_level_hides_what_is_below_it(logger):
    out = io.StringIO()
    log.set_up("warning", stream=out)
    logger.info("hello")
    assert out.getvalue() == ""


def test_a_traceback_stays_with_its_line(logger):
    text, machine = Terminal(), io.StringIO()
    for out in (text, machine):
        log.set_up(stream=out)
        try:
            raise ValueError("no\x1b[31mway")
        except ValueError:
            logger.exception("failed")
    assert "\n  ValueError: no\\x1b[31mway\n" in text.getvalue()
    assert "ValueError" in json.loads(machine.getvalue())["trace"]


def test_strangers_text_does_not_reach_the_terminal_as_commands(logger):
    out = Terminal()
    log.set_up(stream=out)
    logger.info("topic \x1b[2J %s", "a\nb", extra=log.facts("x", name="\x07bell ü"))
    assert "\x1b" not in out.getvalue()
    assert out.getvalue().count("\n") == 1
    assert "\\x07bell ü" in out.getvalue()


class Counter:
    def __init__(self) -> None:
        self.now_us = 0
        self.lines: list[tuple[str, dict[str, object]]] = []
        self.throttle = log.Throttle(
            logging.Logger("throttled"), every_us=100, kinds_max=3, now_us=lambda: self.now_us
        )
        handler = logging.Handler()
        handler.emit = lambda record: self.lines.append((record.event, record.fields))
        self.throttle._logger.addHandler(handler)

    def at(self, now_us: int, kind: str) -> None:
        self.now_us = now_us
        self.throttle.log(logging.WARNING, kind, "again")


def test_repeated_lines_are_counted_instead():
    counter = Counter()
    for now in (0, 1, 99, 100, 150, 250):
        counter.at(now, "bad")
    assert counter.lines == [("bad", {}), ("bad", {"left_out": 2}), ("bad", {"left_out": 1})]


def test_kinds_do_not_silence_each_other_and_are_bounded():
    counter = Counter()
    for kind in "abcdefg":
        counter.at(0, kind)
    assert [kind for kind, _ in counter.lines] == list("abcdefg")
    assert len(counter.throttle._kinds) <= 3
