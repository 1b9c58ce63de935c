"""A consumer far away: what one answer holds is reckoned by its work, not by the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import layby
from tests.kills.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.conftest import MakeDaemon
    from tests.integration.daemon_process import DaemonProcess

pytestmark = pytest.mark.integration

MESSAGES = 400
POLLS = 60
"""One message to a poll would be one poll a message."""


@pytest.fixture
def far(make_daemon: MakeDaemon) -> Iterator[tuple[DaemonProcess, Proxy]]:
    """There and back takes longer than a slice of live or deferred work."""
    daemon = make_daemon(groups__backoff="[1ms]")
    daemon.start()
    proxy = Proxy(int(daemon.url.rpartition(":")[2]), seed=1, way_s=0.03)
    proxy.calm()
    proxy.start()
    yield daemon, proxy
    proxy.stop()


@pytest.mark.parametrize("lane", ["live", "deferred"])
def test_few_polls_bring_many_messages(far: tuple[DaemonProcess, Proxy], lane: str):
    daemon, proxy = far
    with layby.connect(daemon.url) as near, layby.connect(proxy.url) as client:
        with near.producer("app") as producer:
            for number in range(MESSAGES):
                producer.send(b"%d" % number)
        if lane == "deferred":
            fail_all(near)
        seen = set()
        with client.consume("app", group="g") as consumer:
            for message in consumer:
                assert message.lane == lane
                seen.add(message.data)
                message.ack()
                if len(seen) == MESSAGES:
                    break
            assert consumer._session._n <= POLLS


def fail_all(client: layby.Client) -> None:
    """Once each; it leaves without having been handed any of them again."""
    with client.consume("app", group="g") as consumer:
        for number, message in enumerate(consumer, 1):
            message.fail("so that it is deferred")
            if number == MESSAGES:
                break
