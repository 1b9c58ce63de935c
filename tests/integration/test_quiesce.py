"""How a daemon says that it is ready, how it stops, and what its exit codes say."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from loadtests.daemon import command, free_port
from loadtests.wire import NoAnswer, Refused
from tests.integration.daemon_process import Peers, acks, deliveries, poll

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import MakeDaemon
    from tests.integration.daemon_process import DaemonProcess

pytestmark = pytest.mark.integration

AS_IF_NOT_ROOT = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
"""Root may write everywhere; without these two capabilities it is held to the modes of files."""


def events(daemon: DaemonProcess) -> list[str]:
    return [json.loads(line)["text"] for line in daemon.log().splitlines()]


def after_stop_asked(daemon: DaemonProcess, peers: Peers) -> None:
    """SIGTERM, and wait until the broker says that it is stopping."""
    daemon.signal(signal.SIGTERM)
    peer = peers.peer()
    while peer.ask("status")["state"] != "quiescing":
        pass


# ---- readiness --------------------------------------------------------------------------------


def test_one_line_at_the_start_says_where_and_what(daemon: DaemonProcess):
    daemon.stop()
    daemon.start()
    daemon.stop()
    first, second = [text for text in events(daemon) if text.startswith("ready on")]
    assert daemon.url in first
    assert "boot 1" in first
    assert "boot 2" in second


def test_systemd_is_told_when_it_serves_and_when_it_stops(make_daemon: MakeDaemon, tmp_path: Path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        daemon = make_daemon()
        daemon.launch(NOTIFY_SOCKET=str(tmp_path / "notify"))
        assert "READY=1" in manager.recv(4_096).decode().splitlines()
        daemon.wait_ready()
        daemon.signal(signal.SIGTERM)
        assert "STOPPING=1" in manager.recv(4_096).decode().splitlines()
        assert daemon.wait() == 0


# ---- quiesce ----------------------------------------------------------------------------------


def test_with_nothing_out_it_stops_at_once(daemon: DaemonProcess, peers: Peers):
    peers.peer().ask("push", topic="t", data=b"x")
    daemon.signal(signal.SIGTERM)
    assert daemon.wait(5) == 0


def test_sigint_is_the_same(daemon: DaemonProcess):
    daemon.signal(signal.SIGINT)
    assert daemon.wait(5) == 0


def test_it_waits_for_what_is_being_worked_on(daemon: DaemonProcess, peers: Peers):
    consumer, other = peers.peer(), peers.peer()
    consumer.ask("push", topic="t", data=b"x")
    got = deliveries(poll(consumer, "g"))
    after_stop_asked(daemon, peers)
    with pytest.raises(Refused) as refusal:
        other.ask("push", topic="t", data=b"y")
    assert refusal.value.code == "quiescing"
    assert refusal.value.answer["retryable"]
    assert refusal.value.answer["retry_ms"] > 0
    assert daemon.running
    assert consumer.ask("settle", group="g", settle=acks(got))["refused"] == []
    assert daemon.wait(5) == 0
    daemon.start()
    assert poll(consumer, "g", wait_ms=50)["leases"] == []


def test_a_parked_poll_is_answered(daemon: DaemonProcess, peers: Peers):
    holder, waiting = peers.peer(), peers.peer()
    holder.ask("push", topic="t", data=b"x")
    poll(holder, "g")
    waiting.send("poll", group="g", topics=["*"], messages=1, bytes=1, wait_ms=30_000)
    after_stop_asked(daemon, peers)
    answer = waiting.receive(5_000)
    assert answer is not None
    assert (answer["leases"], answer["why"]) == ([], "quiescing")


def test_a_second_signal_stops_at_once(daemon: DaemonProcess, peers: Peers):
    peer = peers.peer()
    peer.ask("push", topic="t", data=b"x")
    poll(peer, "g")
    after_stop_asked(daemon, peers)
    daemon.signal(signal.SIGTERM)
    assert daemon.wait(5) == 0
    assert "stopped at once" in events(daemon)[-1]


def test_it_waits_no_longer_than_told(make_daemon: MakeDaemon):
    daemon = make_daemon(broker__quiesce="300ms")
    daemon.start()
    peers = Peers(daemon.url)
    peers.peer().ask("push", topic="t", data=b"x")
    poll(peers.peer(), "g")
    daemon.signal(signal.SIGTERM)
    assert daemon.wait(10) == 0
    peers.close()


def test_a_stopped_daemon_answers_nobody(daemon: DaemonProcess, peers: Peers):
    assert daemon.stop() == 0
    with pytest.raises(NoAnswer):
        peers.peer().ask("status", within_s=0.3)


# ---- exit codes -------------------------------------------------------------------------------


def exit_of(daemon: DaemonProcess, *prefix: str) -> int:
    daemon.launch(*prefix)
    return daemon.wait(20)


def said(daemon: DaemonProcess) -> str:
    """What was written about the failure: short, and no traceback."""
    text = daemon.log()
    assert "Traceback" not in text
    assert len(text) < 2_000
    return text


def test_78_the_settings_are_wrong_and_all_of_it_is_said(make_daemon: MakeDaemon):
    daemon = make_daemon(groups__leese="1s", limits__wait="3 sheep")
    assert exit_of(daemon) == 78
    assert "groups.leese" in said(daemon)
    assert "lease" in said(daemon)
    assert "limits.wait" in said(daemon)


def test_75_another_daemon_holds_the_store(daemon: DaemonProcess, make_daemon: MakeDaemon):
    second = make_daemon("second")
    second.store = daemon.store
    assert exit_of(second) == 75
    assert str(daemon.store) in said(second)


def test_69_the_address_is_taken(make_daemon: MakeDaemon):
    with socket.socket() as taken:
        port = free_port()
        taken.bind(("127.0.0.1", port))
        taken.listen()
        daemon = make_daemon()
        daemon.url = f"tcp://127.0.0.1:{port}"
        assert exit_of(daemon) == 69
        assert daemon.url in said(daemon)


def test_69_another_daemon_serves_at_the_ipc_path(make_daemon: MakeDaemon, tmp_path: Path):
    first, second = make_daemon("first"), make_daemon("second")
    first.url = second.url = f"ipc://{tmp_path}/layby.sock"
    first.start()
    assert exit_of(second) == 69
    assert second.url in said(second)
    first.kill()
    second.start()


def test_77_no_right_to_the_store(make_daemon: MakeDaemon, tmp_path: Path):
    daemon = make_daemon()
    daemon.store = tmp_path / "locked" / "store"
    daemon.store.parent.mkdir(mode=0o500)
    assert exit_of(daemon, *(AS_IF_NOT_ROOT if os.geteuid() == 0 else ())) == 77
    assert str(daemon.store.parent) in said(daemon)


def segments(daemon: DaemonProcess) -> list[Path]:
    return sorted(daemon.store.glob("0*.lmdb"))


def test_65_a_store_that_is_not_what_was_written(daemon: DaemonProcess, peers: Peers):
    peers.peer().ask("push", topic="t", data=b"x" * 5_000)
    daemon.stop()
    for path in segments(daemon):
        whole = path.read_bytes()
        path.write_bytes(b"\xff" * 8_192 + whole[8_192:])
    assert exit_of(daemon) == 65
    assert "damaged" in daemon.log().splitlines()[-1]


def test_a_broken_store_is_not_changed_by_the_try(daemon: DaemonProcess):
    daemon.stop()
    broken = b"\xff" * 65_536
    for path in segments(daemon):
        path.write_bytes(broken)
    assert exit_of(daemon) == 65
    assert [path.read_bytes() for path in segments(daemon)] == [broken]


def test_check_says_whether_the_settings_are_right():
    def code(*arguments: str) -> int:
        return subprocess.run([command("laybyd"), "--check", *arguments], check=False).returncode

    assert code() == 0
    assert code("--set", "groups.lease=soon") == 78
