from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import click
import pytest

from layby.cli import app, trouble
from layby.cli.trouble import Trouble, status_of
from layby.errors import (
    LaybyError,
    OutcomeUnknown,
    PushFailed,
    Quiescing,
    StoreFull,
    TimedOut,
    UnknownGroup,
    Unreachable,
)

MODULES_AT_START = 250
"""They were 224 when this was written: about 0.15 s of processor time on an ordinary machine."""


def test_every_verb_loads_and_helps(run: Any) -> None:
    for verb in app.VERBS:
        result = run(verb, "--help")
        assert result.status == 0, verb
        assert result.out.startswith(f"Usage: layby {verb}")


def test_help_lists_every_verb_with_a_word_about_it(run: Any) -> None:
    text = run("--help").out
    listed = text[text.index("Commands:") :].splitlines()[1:]
    assert [line.split()[0] for line in listed] == list(app.VERBS)
    assert all(len(line.split()) > 3 for line in listed)


@pytest.mark.parametrize(
    "args", [("nonsense",), ("push",), ("push", "app"), ("--timeout", "x", "topics"), ("work", "t")]
)
def test_misuse_is_2(run: Any, args: tuple[str, ...]) -> None:
    result = run(*args)
    assert result.status == trouble.USAGE
    assert result.out == ""
    assert "Usage:" in result.err


def test_misuse_is_one_object_for_programs(run: Any) -> None:
    result = run("--json", "push", "app")
    assert result.status == trouble.USAGE
    assert result.out == ""
    assert set(result.error) == {"code", "text", "retryable", "hint"}
    assert result.error["code"] == "usage"
    assert result.error["hint"] == "layby push --help"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Unreachable(), 69),
        (TimedOut(), 75),
        (OutcomeUnknown(), 75),
        (StoreFull("full"), 75),
        (Quiescing("going"), 75),
        (UnknownGroup("no"), 1),
        (PushFailed([]), 1),
        (Trouble("x", "y", status=2), 2),
    ],
)
def test_exit_codes(error: Exception, status: int) -> None:
    assert status_of(error) == status


def test_every_error_of_the_library_has_an_exit_code() -> None:
    def tree(kind: type[LaybyError]) -> list[type[LaybyError]]:
        return [kind, *(below for child in kind.__subclasses__() for below in tree(child))]

    kinds = [kind for kind in tree(LaybyError) if kind is not PushFailed]
    assert {status_of(kind("text")) for kind in kinds} == {1, 69, 75}


def test_a_refusal_has_its_hint(run: Any, client: Any, answers: dict[str, Any]) -> None:
    answers["group"] = UnknownGroup("there is no group evil\x1b[2J")
    result = run("groups", "show", "g")
    assert result.status == trouble.REFUSED
    assert result.err == (
        "layby: there is no group evil\\x1b[2J\n"
        "  `layby groups` lists them; the first poll makes one.\n"
    )


def test_a_refusal_is_one_object_for_programs(
    run: Any, client: Any, answers: dict[str, Any]
) -> None:
    answers["group"] = UnknownGroup("no evil\x1b\x9b")
    result = run("--json", "groups", "show", "g")
    assert "\x1b" not in result.err
    assert result.error == {
        "code": "unknown_group",
        "text": "no evil\x1b\x9b",
        "retryable": False,
        "hint": UnknownGroup.hint,
    }


@pytest.mark.parametrize(
    "args", [("--json", "topics"), ("topics", "--json"), ("topics", "ls", "--json")]
)
def test_global_options_stand_anywhere(
    run: Any, client: Any, answers: dict[str, Any], args: tuple[str, ...]
) -> None:
    answers["topics"] = {"topics": [topic("a")], "more": False}
    assert run(*args).records[0]["name"] == "a"


def topic(name: str) -> dict[str, Any]:
    return {
        "name": name, "first": 1, "last": 2, "messages": 2, "bytes": 2, "last_us": 1, "groups": 0,
    }  # fmt: skip


@pytest.mark.parametrize("args", [("topics",), ("topics", "ls")])
def test_a_bare_noun_lists(
    run: Any, client: Any, answers: dict[str, Any], args: tuple[str, ...]
) -> None:
    answers["topics"] = {"topics": [topic("a")], "more": False}
    assert "a" in run(*args).out


def test_a_bare_noun_takes_the_options_of_its_list(
    run: Any, client: Any, answers: dict[str, Any]
) -> None:
    answers["parked"] = {"parked": [], "more": False}
    assert run("dead", "--group", "g").status == 0
    assert client.asked[0][1]["group"] == "g"


def test_a_wrong_word_after_a_noun_is_misuse(run: Any) -> None:
    result = run("topics", "remove")
    assert result.status == trouble.USAGE
    assert "remove" in result.err


def test_options_and_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAYBY_URL", "tcp://elsewhere:1")
    assert app.Setup().url == "tcp://elsewhere:1"
    monkeypatch.setenv("LAYBY_URL", "")
    assert app.Setup().url == app.URL


def test_json_after_the_dashes_is_the_commands_own() -> None:
    assert not app.wants_json(["work", "t", "--group", "g", "--", "cmd", "--json"])
    assert app.wants_json(["topics", "--json"])


def test_ctrl_c_is_130(capfd: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        raise click.Abort from KeyboardInterrupt()

    assert trouble.guarded(interrupted, False) == 130
    assert capfd.readouterr().err == ""


def test_a_missing_file_is_told_without_a_traceback(run: Any, client: Any) -> None:
    result = run("push", "app", "--lines", "/no/such/file")
    assert result.status == trouble.REFUSED
    assert result.err == "layby: /no/such/file: No such file or directory\n"


def test_a_closed_pipe_is_quiet() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    code = "import sys; from layby.cli import main; sys.argv = ['layby', 'errors']; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=theirs, stderr=subprocess.PIPE, check=False
    )
    os.close(theirs)
    assert (done.returncode, done.stderr) == (0, b"")


def test_version(run: Any, golden: Any) -> None:
    record = run("version", "--json").records[0]
    golden("version", record)
    assert all(record.values())
    assert "libzmq" in run("version").out


def test_what_costs_time_is_not_loaded() -> None:
    """Counted, not timed: a slow machine must not fail it."""
    code = (
        "import sys; bare = len(sys.modules); "
        "from layby.cli import app; app.run(['version']); "
        "print(len(sys.modules) - bare); "
        "print([n for n in ('rich', 'lmdb', 'asyncio', 'pydantic', 'laybyd') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded, heavy = done.stdout.splitlines()[-2:]
    assert heavy == "[]"
    assert int(loaded) < MODULES_AT_START


def test_completion(run: Any) -> None:
    for shell in ("bash", "zsh", "fish"):
        assert "_LAYBY_COMPLETE" in run("completion", shell).out
    assert run("completion", "tcsh").status == trouble.USAGE


def test_errors(run: Any, golden: Any) -> None:
    records = run("errors", "--json").records
    golden("errors", records[0])
    assert "store_full" in [record["code"] for record in records]
    assert "store_full" in run("errors").out
    assert run("errors", "store_full", "--json").records[0]["retryable"] is True


def test_an_unknown_code_is_misuse(run: Any) -> None:
    result = run("errors", "store_ful")
    assert result.status == trouble.USAGE
    assert "did you mean 'store_full'" in result.err


def test_the_packaged_codes_are_those_of_the_protocol() -> None:
    from pathlib import Path

    root = Path(__file__).parents[3] / "clients"
    ours = (root / "python/layby/codes.json").read_text()
    assert json.loads(ours) == json.loads((root / "protocol/codes.json").read_text())
