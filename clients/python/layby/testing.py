"""A real broker for tests: on the in-memory store, in this process, ready within milliseconds.

    from layby.testing import Broker

    with Broker(settings={"limits.max_message": "64KiB"}) as broker:
        client = layby.connect(broker.endpoint)

or, with `pytest_plugins = ["layby.testing"]`, the fixture `layby_broker`. Owns the broker's life;
the broker itself is laybyd, imported only when one is started: `pip install 'layby[server]'`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from layby.client import Client, connect

if TYPE_CHECKING:
    from laybyd.daemon import Daemon


class Broker:
    """A context manager. What it stored is gone with it."""

    def __init__(self, settings: Mapping[str, object] | None = None) -> None:
        self._settings = dict(settings or {})
        self._daemon: Daemon | None = None

    @property
    def endpoint(self) -> str:
        if self._daemon is None:
            raise RuntimeError("the broker is not started: use it in a with block")
        return self._daemon.endpoint

    def connect(self, *, name: str | None = None) -> Client:
        return connect(self.endpoint, name=name)

    def start(self) -> None:
        daemon = _daemon_class().in_memory(self._settings)
        daemon.start()
        self._daemon = daemon

    def stop(self) -> None:
        if self._daemon is not None:
            self._daemon.stop()
            self._daemon = None

    def __enter__(self) -> Broker:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _daemon_class() -> type[Daemon]:
    try:
        from laybyd.daemon import Daemon
    except ImportError as error:
        raise RuntimeError(f"a broker needs: pip install 'layby[server]' ({error})") from error
    return Daemon


def _fixture() -> Iterator[Broker]:
    with Broker() as broker:
        yield broker


try:
    import pytest
except ImportError:
    pass
else:
    layby_broker = pytest.fixture(name="layby_broker")(_fixture)
