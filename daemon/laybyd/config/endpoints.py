"""Addresses to listen at: what one looks like, and whether strangers can reach it.

Owns the reading of endpoint texts. Must never know sockets.
"""

from __future__ import annotations

import ipaddress
import re

_TCP = re.compile(r"tcp://(\[[^\]]+\]|[^:\[\]/]+):(\*|\d{1,5})")
IPC_PATH_BYTES_MAX = 107


def checked(endpoint: str) -> str:
    """The endpoint itself; raises ValueError with a sentence when it is none."""
    if endpoint.startswith("ipc://"):
        path = endpoint.removeprefix("ipc://")
        if not path or path == "*":
            raise ValueError(f"'{endpoint}' names no path; write ipc:///run/layby/layby.sock")
        if len(path.encode()) > IPC_PATH_BYTES_MAX:
            raise ValueError(f"'{endpoint}' is longer than {IPC_PATH_BYTES_MAX} bytes")
        return endpoint
    match = _TCP.fullmatch(endpoint)
    if match is None or (match[2] != "*" and int(match[2]) > 65_535):
        raise ValueError(f"'{endpoint}' is no endpoint; write tcp://127.0.0.1:5577 or ipc:///path")
    return endpoint


def is_local(endpoint: str) -> bool:
    """Whether only this machine can reach it."""
    if endpoint.startswith("ipc://"):
        return True
    match = _TCP.fullmatch(endpoint)
    host = match[1].strip("[]") if match else ""
    if host in ("localhost", "lo"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
