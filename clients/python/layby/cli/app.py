"""The command line as a whole: global options, finding the verb, the exit code.

Owns what every verb shares. Must never know what a verb does. Verbs are loaded only when asked
for, so that `layby version` starts fast.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import click

from layby.cli import trouble
from layby.cli.out import Out
from layby.cli.params import DURATION

if TYPE_CHECKING:
    from layby import Client, Response

URL = "tcp://127.0.0.1:5577"
TIMEOUT = 5.0

VERBS = {
    "push": "layby.cli.push:push",
    "consume": "layby.cli.consume:consume",
    "work": "layby.cli.work:work",
    "tail": "layby.cli.tail:tail",
    "topics": "layby.cli.topics:topics",
    "groups": "layby.cli.groups:groups",
    "deferred": "layby.cli.parked:deferred",
    "dead": "layby.cli.parked:dead",
    "status": "layby.cli.status:status",
    "bench": "layby.cli.bench:bench",
    "store": "layby.cli.store:store",
    "errors": "layby.cli.codes:errors",
    "version": "layby.cli.version:version",
    "completion": "layby.cli.completion:completion",
}


class Setup:
    """What the global options said; handed to every verb."""

    def __init__(self) -> None:
        self.url = os.environ.get("LAYBY_URL") or URL
        self.timeout: float | None = None
        self.out = Out()

    def connect(self, timeout: float | None = None) -> Client:
        import layby

        return layby.connect(self.url, timeout=timeout or self.timeout or TIMEOUT)

    def request(self, client: Client, op: str, **fields: Any) -> Response:
        """One question, under the time-out of the command line."""
        return client.request(op, timeout=self.timeout or TIMEOUT, **fields)


def _set(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value is None or value is False:
        return
    setup = ctx.find_root().ensure_object(Setup)
    if param.name == "as_json":
        setup.out.json = True
    elif param.name:
        setattr(setup, param.name, value)


def _shared() -> list[click.Option]:
    """The global options; each verb takes them too, so that they may stand on either side."""
    return [
        click.Option(
            ["--url"],
            metavar="ENDPOINT",
            expose_value=False,
            callback=_set,
            help=f"Where the broker listens; else $LAYBY_URL, else {URL}.",
        ),
        click.Option(
            ["--json", "as_json"],
            is_flag=True,
            expose_value=False,
            callback=_set,
            help="One JSON object per line; errors as one object on stderr.",
        ),
        click.Option(
            ["--timeout"],
            type=DURATION,
            expose_value=False,
            callback=_set,
            help="How long one request may take, like 500ms or 30s.",
        ),
    ]


def _share_options(command: click.Command) -> None:
    taken = {name for param in command.params for name in param.opts}
    command.params += [option for option in _shared() if not taken & set(option.opts)]


class Verb(click.Command):
    """One command; takes the global options as well as its own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _share_options(self)


class Noun(click.Group):
    """A family of commands; without one of them it lists."""

    command_class: type[click.Command] | None = Verb

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _share_options(self)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        listed = "ls" in self.commands and "--help" not in args
        if listed and not any(arg in self.commands for arg in args):
            args = self._with_ls(args)
        return super().parse_args(ctx, args)

    def _with_ls(self, args: list[str]) -> list[str]:
        """A bare noun, perhaps with options, means `ls`; a wrong word stays a wrong word."""
        return ["ls", *args] if not args or args[0].startswith("-") else args


class Layby(click.Group):
    """The verbs, loaded when asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        module, attribute = VERBS[name].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            status = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            forget_stdout()
            return trouble.DONE
        return status


def forget_stdout() -> None:
    """Nobody reads it any more: what is left in its buffer goes nowhere, quietly."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


@click.group(cls=Layby, params=_shared(), context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="layby", message="layby %(version)s")
@click.pass_context
def app(ctx: click.Context) -> None:
    """Talk to a layby broker: push, consume, look, repair."""
    ctx.ensure_object(Setup)


def run(args: Sequence[str]) -> int:
    """Run one command and say how it ended; the whole of `main` but for leaving."""

    def invoke() -> Any:
        return app.main(list(args), prog_name="layby", standalone_mode=False)

    return trouble.guarded(invoke, wants_json(args))


def wants_json(args: Sequence[str]) -> bool:
    """Known before the words are parsed, so that a wrong word is told as JSON too."""
    ours = args[: args.index("--")] if "--" in args else args
    return "--json" in ours


def main() -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    args = sys.argv[1:]
    trouble.listen_to_the_library(wants_json(args))
    sys.exit(run(args))
