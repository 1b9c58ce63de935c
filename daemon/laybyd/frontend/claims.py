"""Who may listen at an ipc path: one daemon at a time.

Owns the lock beside each path. Must never know sockets. libzmq removes whatever stands at the path
before it listens there, so a second daemon would take a running one's clients without either of
them noticing. The lock ends with its process, however that ends; its file is left where it is,
since whoever removed it could remove one that another daemon has just locked.
"""

from __future__ import annotations

import fcntl
import os

from laybyd.errors import AddressInUse, ConfigError, NoRight

_SCHEME = "ipc://"


class Claims:
    """Paths that are ours until `release`."""

    def __init__(self) -> None:
        self._fds: list[int] = []

    def take(self, endpoint: str) -> None:
        """Nothing to do for tcp, nor for a name without a file: the kernel refuses those twice.
        Raises AddressInUse, NoRight or ConfigError."""
        path = endpoint.removeprefix(_SCHEME)
        if path == endpoint or path.startswith("@"):
            return
        lock = f"{path}.lock"
        try:
            fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except PermissionError as error:
            raise NoRight(f"{endpoint} (its lock {lock})") from error
        except OSError as error:
            text = f"listen: cannot listen on {endpoint}: {lock}: {error.strerror}"
            raise ConfigError([text]) from error
        self._fds.append(fd)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise AddressInUse(f"{endpoint}, by the process that has locked {lock}") from error

    def release(self) -> None:
        while self._fds:
            os.close(self._fds.pop())
