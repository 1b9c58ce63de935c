"""What client and broker tell each other at the start. Owns nothing; pure."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from layby._sequence import Limits
from layby.errors import TooLarge


def library_version() -> str:
    try:
        return version("layby")
    except PackageNotFoundError:
        return "0"


def client_fields() -> dict[str, Any]:
    return {"client": f"layby-python {library_version()}"}


def as_limits(found: Mapping[str, Any]) -> Limits:
    """Those of hello; what it leaves out is the protocol's default."""
    usual = Limits()
    return Limits(
        pushes=found.get("pushes_in_flight", usual.pushes),
        bytes=found.get("credit_bytes", usual.bytes),
        max_message=found.get("max_message", usual.max_message),
        max_block=found.get("max_block", usual.max_block),
        max_messages=found.get("max_messages", usual.max_messages),
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
