"""The public ROUTER socket: its options, its endpoints, its bounds.

Owns how the socket is set up. Must never know what travels through it.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, cast

import zmq

from laybyd.errors import AddressInUse, ConfigError, NoRight

if TYPE_CHECKING:
    from collections.abc import Sequence

    from laybyd.frontend.claims import Claims

QUEUE_MESSAGES = 64
"""High-water mark each way and per peer. libzmq counts messages, not bytes: with blocks of 2 MiB
this bounds a peer to 128 MiB in the kernel's and libzmq's hands; what the broker itself holds is
bounded by `pending_bytes` and by the credit of polls."""

BUFFER_BYTES = 256 << 10
"""Kernel buffers: 64-256 KiB beat the default for block-sized frames."""

HANDSHAKE_MS = 5_000
LINGER_MS = 500


def bound_router(
    context: zmq.Context[zmq.Socket[bytes]],
    endpoints: Sequence[str],
    max_frame_bytes: int,
    claims: Claims,
) -> tuple[zmq.Socket[bytes], list[str]]:
    """A ROUTER bound to every endpoint, and the endpoints as bound (port 0 resolved).

    No ZMTP heartbeats: some clients' libraries do not answer them. MANDATORY, so that an answer
    to a peer that is gone or does not read comes back as an error instead of vanishing.
    """
    router = context.socket(zmq.ROUTER)
    router.set(zmq.ROUTER_MANDATORY, 1)
    router.set(zmq.MAXMSGSIZE, max_frame_bytes)
    router.set(zmq.RCVHWM, QUEUE_MESSAGES)
    router.set(zmq.SNDHWM, QUEUE_MESSAGES)
    router.set(zmq.RCVBUF, BUFFER_BYTES)
    router.set(zmq.SNDBUF, BUFFER_BYTES)
    router.set(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
    router.set(zmq.LINGER, LINGER_MS)
    router.set(zmq.TCP_KEEPALIVE, 1)
    router.set(zmq.BACKLOG, 1024)
    try:
        return router, [_bind(router, endpoint, claims) for endpoint in endpoints]
    except BaseException:
        router.close(0)
        raise


def _bind(router: zmq.Socket[bytes], endpoint: str, claims: Claims) -> str:
    claims.take(endpoint)
    try:
        router.bind(endpoint)
    except zmq.ZMQError as error:
        if error.errno in (errno.EADDRINUSE, zmq.EADDRINUSE):
            raise AddressInUse(endpoint) from error
        if error.errno == errno.EACCES:
            raise NoRight(endpoint) from error
        raise ConfigError([f"listen: cannot listen on {endpoint}: {error.strerror}"]) from error
    bound = cast("bytes", router.get(zmq.LAST_ENDPOINT))
    return bound.decode().rstrip("\0")
