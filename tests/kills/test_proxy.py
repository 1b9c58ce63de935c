"""The proxy passes on all bytes in order, until it cuts; and it does what it is said to do."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from tests.kills import proxy as proxies
from tests.kills.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = bytes(range(256)) * 40


@pytest.fixture
def echo() -> Iterator[int]:
    """A port that gives back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    there, _ = server.accept()
                except OSError:
                    return
                with there:
                    try:
                        while data := there.recv(1 << 16):
                            there.sendall(data)
                    except OSError:
                        continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def through(proxy: Proxy) -> bytes:
    """What comes back of DATA before the connection ends."""
    proxy.start()
    found = b""
    try:
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as client:
            client.sendall(DATA)
            while len(found) < len(DATA) and (some := client.recv(1 << 16)):
                found += some
    except ConnectionError:
        pass
    finally:
        proxy.stop()
    return found


def test_calm_it_only_passes_on(echo: int):
    proxy = Proxy(echo, 1)
    proxy.calm()
    assert through(proxy) == DATA
    assert not proxy.done


@pytest.mark.slow
@pytest.mark.parametrize("fault", [proxies.STALL, proxies.DELAY, proxies.DRIP])
def test_slow_it_loses_nothing(echo: int, fault: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(proxies, "FAULTS", ((fault, 1.0),))
    proxy = Proxy(echo, 1)
    assert through(proxy) == DATA
    assert proxy.done[fault] >= 2


def test_a_cut_ends_the_connection(echo: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(proxies, "FAULTS", ((proxies.CUT, 1.0),))
    proxy = Proxy(echo, 1)
    found = through(proxy)
    assert DATA.startswith(found)
    assert len(found) < len(DATA)
    assert proxy.done == {proxies.CUT: 1} or proxy.done == {proxies.CUT: 2}
