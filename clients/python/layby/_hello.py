"""What client and broker tell each other at the start. Owns nothing; pure."""

from __future__ import annotations

import os
import socket
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from layby._fields import maps, number
from layby._sequence import Limits
from layby.errors import TooLarge


def library_version() -> str:
    try:
        return version("layby")
    except PackageNotFoundError:
        return "0"


def client_fields() -> dict[str, Any]:
    return {"client": f"layby-python {library_version()}"}


def as_limits(limits: object) -> Limits:
    """Those of hello; what it leaves out is the protocol's default."""
    usual = Limits()
    (found,) = maps([limits], "limits")
    return Limits(
        pushes=number(found, "pushes_in_flight", usual.pushes, low=1),
        bytes=number(found, "credit_bytes", usual.bytes, low=1),
        max_message=number(found, "max_message", usual.max_message, low=1),
        max_block=number(found, "max_block", usual.max_block, low=1),
        max_messages=number(found, "max_messages", usual.max_messages, low=1),
    )


def check_size(body: bytes, limits: Limits) -> None:
    """Here it costs nothing; on the wire it would cost the connection."""
    if len(body) > limits.max_message:
        text = f"a message of {len(body)} bytes; the broker takes {limits.max_message}"
        raise TooLarge(text, {"code": "too_large"})


def default_name() -> str:
    """host.pid, of the characters a name may have."""
    kept = (c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in socket.gethostname())
    return f"{''.join(kept)[:180]}.{os.getpid()}"
