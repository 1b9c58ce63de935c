"""`layby version`: of this package and of what it stands on.

Owns nothing but the list. Must never know a broker, and starts fast.
"""

from __future__ import annotations

import platform
from importlib import metadata

import click

from layby.cli.app import Setup, Verb


@click.command(cls=Verb)
@click.pass_obj
def version(setup: Setup) -> None:
    """Versions of layby and of the libraries under it."""
    found = versions()
    setup.out.facts(found, [(name, value or "not installed") for name, value in found.items()])


def versions() -> dict[str, str | None]:
    import zmq

    return {
        "layby": _installed("layby"),
        "python": platform.python_version(),
        "libzmq": zmq.zmq_version(),
        "pyzmq": zmq.pyzmq_version(),
        "msgpack": _installed("msgpack"),
        "lmdb": _installed("lmdb"),
    }


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
