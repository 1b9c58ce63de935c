"""kill -9 of the daemon at any moment: what was confirmed is there, once, and stays settled."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

import pytest

from tests.audit.auditor import audit
from tests.audit.history import DAEMON, Line, Writer, merged
from tests.audit.tape import now_us
from tests.integration.daemon_process import DaemonProcess, Peers, read_back
from tests.integration.under_kills import WINDOW, Consumer, Producer, name_of

if TYPE_CHECKING:
    from tests.integration.conftest import MakeDaemon

pytestmark = [pytest.mark.integration, pytest.mark.slow]

KILLS = 20
CONSUMERS = 3
PATIENCE_S = 20


def kill_with_a_full_window(
    daemon: DaemonProcess, producer: Producer, consumers: list[Consumer], boot: int, pushes: int
) -> int:
    """Waits until so many more pushes are confirmed, something that was granted in this boot is
    acked and the window is full, then kills; gives how many pushes were in flight."""
    with producer.changed:
        pushes += len(producer.confirmed)
        assert producer.changed.wait_for(
            lambda: (
                len(producer.confirmed) >= pushes
                and any(one.boot == boot for one in consumers)
                and len(producer.window) == WINDOW
            ),
            PATIENCE_S,
        ), [end.error for end in (producer, *consumers)]
        daemon.kill()
        return len(producer.window)


def wait_until_settled(producer: Producer, consumers: list[Consumer]) -> None:
    """The last pushes are confirmed, and every confirmed one's ack is."""
    with producer.changed:
        producer.closing = True
        assert producer.changed.wait_for(lambda: not producer.window, PATIENCE_S)
        wanted = {push.position for push in producer.confirmed}
        producer.changed.wait_for(
            lambda: wanted.issubset(set().union(*(one.settled for one in consumers))), PATIENCE_S
        )


@pytest.mark.timeout(180)
def test_twenty_kills_under_load(make_daemon: MakeDaemon):
    chance = random.Random(20)
    daemon = make_daemon(groups__lease="5s")
    boot = daemon.start()["boot"]
    changed = threading.Condition()
    producer = Producer(daemon.url, "producer", changed)
    consumers = [Consumer(daemon.url, f"consumer-{i}", changed) for i in range(CONSUMERS)]
    ends = [producer, *consumers]
    for end in ends:
        end.start()
    events: list[Line] = []
    run = Writer(events.append, now_us)
    in_flight = []
    for _ in range(KILLS):
        pushes = chance.randrange(1, 1_000)
        in_flight.append(kill_with_a_full_window(daemon, producer, consumers, boot, pushes))
        run.event("kill", who=DAEMON)
        boot = daemon.start()["boot"]
        run.event("start", boot=boot)
        for end in ends:
            end.reconnect()
    wait_until_settled(producer, consumers)
    for end in ends:
        end.finish()

    run.event("end", drained=True)
    account = audit(merged(events, *(end.tape.lines() for end in ends)))
    assert account.faults == []
    assert in_flight == [WINDOW] * KILLS
    assert account.boots == KILLS + 1
    assert account.settled == account.pushed == len(producer.confirmed)
    assert account.unknown == 0
    the_log_holds_each_once(daemon, producer)


def the_log_holds_each_once(daemon: DaemonProcess, producer: Producer) -> None:
    peers = Peers(daemon.url)
    log = [(position, name_of(data)) for position, _, data in read_back(peers.peer())]
    peers.close()
    assert [position for position, _ in log] == list(range(1, len(log) + 1))
    assert len({name for _, name in log}) == len(log)
    assert {tuple(push) for push in producer.confirmed} == set(log)
