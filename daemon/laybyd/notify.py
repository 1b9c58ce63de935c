"""Words to the service manager: ready, stopping, still alive (systemd's sd_notify).

Owns the datagrams to the socket that NOTIFY_SOCKET names. Must never know what makes the daemon
ready or alive. Without a service manager every call does nothing.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SEND_TIMEOUT_S = 0.1
"""A manager that does not read must not stop the broker; a lost word is said again later."""


class Notifier:
    """Takes the environment as it is at the start; later changes do not matter."""

    def __init__(self, env: Mapping[str, str] | None = None) -> None:
        env = os.environ if env is None else env
        address = env.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        mine = str(os.getpid())
        watched = bool(address) and env.get("WATCHDOG_PID", mine) == mine
        within = env.get("WATCHDOG_USEC", "")
        self.watchdog_us = int(within) if watched and within.isdecimal() else 0
        """A sign of life is due within this time; 0: nobody waits for one."""

    def ready(self, status: str) -> None:
        self._send("READY=1", f"STATUS={status}")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send(f"STATUS={text}")

    def alive(self) -> None:
        self._send("WATCHDOG=1")

    def stopping(self, status: str) -> None:
        self._send("STOPPING=1", f"STATUS={status}")

    def extend_timeout(self, more_us: int) -> None:
        """The start or the stop takes longer: that much from now."""
        self._send(f"EXTEND_TIMEOUT_USEC={more_us}")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        text = "\n".join(line.replace("\n", " ") for line in lines)
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock,
        ):
            sock.settimeout(SEND_TIMEOUT_S)
            sock.sendto(text.encode(), self._address)
