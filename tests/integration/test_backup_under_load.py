"""A store is copied while a daemon runs it under load; nothing is missing from either."""

from __future__ import annotations

import threading
from itertools import count
from typing import TYPE_CHECKING

import pytest

from tests.integration.daemon_process import DaemonProcess, Peers, acks, deliveries, poll
from tests.integration.layby_command import Layby

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.integration.conftest import MakeDaemon

pytestmark = [pytest.mark.integration, pytest.mark.slow]

SIZE = 200_000
SETTINGS = {"store__max_bytes": "4 GiB", "store__segment_bytes": "16 MiB"}
KEPT = 30
"""Messages that nobody takes: the copy must have them, wherever the log is trimmed."""


class Load:
    """One thread that pushes and acks, so that segments come and go, until told to stop."""

    def __init__(self, url: str) -> None:
        self.acked: set[int] = set()
        self.turns = threading.Condition()
        self._done = 0
        self._stop = threading.Event()
        self._url = url
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._error: BaseException | None = None

    def _run(self) -> None:
        peers = Peers(self._url)
        peer = peers.peer()
        try:
            for number in count():
                if self._stop.is_set():
                    return
                peer.ask("push", topic="busy", data=(b"%09d" % number) * (SIZE // 9))
                found = deliveries(poll(peer, "workers", topics=["busy"]))
                peer.ask("settle", group="workers", settle=acks(found))
                self.acked.update(one.position for one in found)
                with self.turns:
                    self._done += 1
                    self.turns.notify_all()
        except BaseException as error:
            self._error = error
        finally:
            peers.close()

    def wait_for(self, turns: int) -> None:
        with self.turns:
            until = self._done + turns
            assert self.turns.wait_for(lambda: self._done >= until or self._error, 60)
        assert self._error is None, self._error

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)


@pytest.fixture
def loaded(make_daemon: MakeDaemon) -> Iterator[tuple[DaemonProcess, Load]]:
    daemon = make_daemon(**SETTINGS)
    daemon.start()
    with Load(daemon.url) as load:
        load.wait_for(200)
        yield daemon, load


def start_of(peer: object) -> int:
    start: int = peer.ask("status")["store"]["start"]  # type: ignore[attr-defined]
    return start


def wait_until(load: Load, holds: Callable[[], bool]) -> None:
    for _ in range(200):
        if holds():
            return
        load.wait_for(5)
    raise AssertionError("it never came true")


def test_a_copy_made_under_load_has_all_that_was_confirmed(
    loaded: tuple[DaemonProcess, Load], make_daemon: MakeDaemon
) -> None:
    daemon, load = loaded
    peers = Peers(daemon.url)
    peer = peers.peer()
    peer.ask("group_create", group="keeper", topics=["kept"])
    kept = [peer.ask("push", topic="kept", data=b"%d" % n)["first"] for n in range(KEPT)]
    layby = Layby(daemon.url)
    for number in range(3):
        acked = set(load.acked)
        copy = daemon.home / f"copy-{number}"
        made = layby.json("store", "backup", str(daemon.store), str(copy))[0]
        assert made["end"] > kept[-1]
        again = make_daemon(f"again-{number}", **SETTINGS)
        back = layby.json("store", "restore", str(copy), str(again.store))[0]
        assert back["epoch"] == made["epoch"] + 1
        the_copy_is_right(again, made["end"], kept, acked)
        load.wait_for(20)
    start = start_of(peer)
    done = poll(peer, "keeper", topics=["kept"])
    peer.ask("settle", group="keeper", settle=acks(deliveries(done)))
    wait_until(load, lambda: start_of(peer) > max(start, kept[-1]))
    layby.close()
    peers.close()


def the_copy_is_right(again: DaemonProcess, end: int, kept: list[int], acked: set[int]) -> None:
    again.start()
    peers = Peers(again.url)
    peer = peers.peer()
    assert peer.ask("push", topic="kept", data=b"new")["first"] >= end
    found = deliveries(poll(peer, "keeper", topics=["kept"]))
    assert [one.position for one in found[:KEPT]] == kept
    assert [one.data for one in found[:KEPT]] == [b"%d" % n for n in range(KEPT)]
    assert found[-1].data == b"new"
    given = deliveries(poll(peer, "workers", topics=["busy"], wait_ms=500))
    assert not {one.position for one in given} & acked, "what was acked before comes again"
    assert peer.ask("topics")["topics"]
    peers.close()
    assert again.stop() == 0
