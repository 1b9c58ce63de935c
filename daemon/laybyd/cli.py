"""The command `laybyd`: reads what it was told, checks it, serves until it is told to stop.

Owns options, the first words of a start and exit codes. Must never know how a broker is built.
What needs the server's packages is imported only once the command runs, so that the light
installation can say what is missing instead of failing to start.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from laybyd import __version__
from laybyd.errors import Bug, ConfigError, DaemonError, Exit
from laybyd.log import facts, set_up

if TYPE_CHECKING:
    from laybyd.config import Config

SERVER_PACKAGES = {"lmdb", "pydantic", "uvloop", "yaml"}
STDERR = 2

log = logging.getLogger("laybyd")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-c",
    "--config",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Settings; config/layby.yaml shows all of them.",
)
@click.option("--data", metavar="DIR", help="Directory of the store (store.path).")
@click.option(
    "--listen",
    metavar="ENDPOINT",
    multiple=True,
    help="Address to serve, as tcp://127.0.0.1:5577; may be given several times.",
)
@click.option(
    "--set",
    "sets",
    metavar="KEY=VALUE",
    multiple=True,
    help="One setting, as log.level=debug; goes above file and environment.",
)
@click.option("--check", is_flag=True, help="Check the settings and leave.")
@click.version_option(__version__, message="laybyd %(version)s")
def command(
    file: Path | None, data: str | None, listen: tuple[str, ...], sets: tuple[str, ...], check: bool
) -> None:
    """Serve a layby broker until SIGTERM or Ctrl-C; a second one stops at once.

    Exit codes: 78 configuration, 65 store damaged, 75 store in use, 69 address in use, 77 no
    right to the store, 74 commit failed, 70 a bug.
    """
    config = _load(file, data, listen, sets)
    if check:
        click.echo("the settings are good")
        return
    sys.exit(_serve(config))


def _load(
    file: Path | None, data: str | None, listen: tuple[str, ...], sets: tuple[str, ...]
) -> Config:
    from laybyd.config import Config

    options: dict[str, object] = {}
    if data is not None:
        options["store.path"] = data
    if listen:
        options["listen"] = list(listen)
    try:
        return Config.load(file, sets, os.environ, options)
    except ConfigError as error:
        for problem in error.problems:
            click.echo(f"laybyd: {problem}", err=True)
        sys.exit(error.exit)


def _serve(config: Config) -> int:
    from laybyd.serve import run

    set_up(config.log.level, config.log.format)
    faulthandler.enable(file=STDERR)
    _allow_descriptors()
    for endpoint in config.open_endpoints:
        warning = "%s can be reached from other machines and nothing protects it (insecure: true)"
        log.warning(warning, endpoint, extra=facts("insecure"))
    try:
        return run(config)
    except DaemonError as error:
        log.error("%s", error, extra=facts("ended", exit=int(error.exit)))
        return error.exit
    except Exception as error:
        log.exception("%s", Bug(type(error).__name__), extra=facts("ended", exit=int(Exit.BUG)))
        return Exit.BUG


def _allow_descriptors() -> None:
    """Each client's connection takes one; the usual soft limit of 1024 is for programs that use
    select, which we do not."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> None:
    """The console script, which the light installation has too."""
    try:
        command()
    except ModuleNotFoundError as error:
        if error.name not in SERVER_PACKAGES:
            raise
        click.echo(f"laybyd needs {error.name}: pip install 'layby[server]'", err=True)
        sys.exit(Exit.CONFIG)
