"""What client and broker tell each other at the start. Owns nothing; pure."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from layby._sequence import Limits
from layby.errors import Damaged, TooLarge

_NAMES = ("pushes_in_flight", "credit_bytes", "max_message", "max_block", "max_messages")
"""What hello calls the fields of Limits, in their order."""


def library_version() -> str:
    try:
        return version("layby")
    except PackageNotFoundError:
        return "0"


def client_fields() -> dict[str, Any]:
    return {"client": f"layby-python {library_version()}"}


def as_limits(found: object) -> Limits:
    """Those of hello; what it leaves out is the protocol's default. Raises Damaged."""
    if not isinstance(found, Mapping):
        raise Damaged("the limits in the broker's hello are not a map")
    usual = Limits()
    told = {
        field: found.get(name, getattr(usual, field))
        for field, name in zip(Limits._fields, _NAMES, strict=True)
    }
    if not all(type(value) is int and value > 0 for value in told.values()):
        raise Damaged("a limit in the broker's hello is not a positive integer")
    return Limits(**told)


def check_size(body: bytes, limits: Limits) -> None:
    """Here it costs nothing; on the wire it would cost the connection."""
    if len(body) > limits.max_message:
        text = f"a message of {len(body)} bytes; the broker takes {limits.max_message}"
        raise TooLarge(text, {"code": "too_large"})


def default_name() -> str:
    """host.pid, of the characters a name may have."""
    kept = (c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in socket.gethostname())
    return f"{''.join(kept)[:180]}.{os.getpid()}"
