"""A real laybyd as a process: started, waited for, killed, started again, stopped.

Owns the process, its port and its directory. Must never know what the daemon is asked to do.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgpack
import zmq

if TYPE_CHECKING:
    from collections.abc import Mapping

READY_S = 30.0
STOP_S = 45.0
PORTS = range(20_000, 32_000)
"""Below the range from which the kernel takes ports for outgoing connections, so that a port is
still ours after a restart."""


class NotReady(Exception):
    """The daemon ended or stayed silent instead of answering a hello; says what it wrote."""


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    for port in random.sample(PORTS, 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no free port on loopback")


def command(name: str) -> str:
    """`laybyd` or `layby` of the environment that runs this."""
    return str(Path(sys.executable).with_name(name))


class DaemonProcess:
    """One daemon over one store below `home`; `settings` are what `--set` takes."""

    def __init__(self, home: Path, settings: Mapping[str, object] | None = None) -> None:
        self.home = home
        self.store = home / "store"
        self.settings = dict(settings or {})
        self.url = f"tcp://127.0.0.1:{free_port()}"
        self._process: subprocess.Popen[bytes] | None = None
        home.mkdir(parents=True, exist_ok=True)

    @property
    def pid(self) -> int:
        return self._running.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the daemon has not been started"
        return self._process

    def launch(self, *prefix: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start it without waiting; below another command and with more environment if asked."""
        arguments = [*prefix, command("laybyd"), "--data", str(self.store), "--listen", self.url]
        for key, value in self.settings.items():
            arguments += ["--set", f"{key}={value}"]
        with (self.home / "laybyd.log").open("ab") as log:
            self._process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.home,
                env=os.environ | environment,
            )
        return self._process

    def start(self) -> dict[str, Any]:
        """Start it and wait for its answer to a hello, which is returned."""
        self.launch()
        return self.wait_ready()

    def wait_ready(self) -> dict[str, Any]:
        with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
            dealer.set(zmq.LINGER, 0)
            dealer.set(zmq.RECONNECT_IVL, 10)
            dealer.connect(self.url)
            dealer.send(msgpack.packb({"op": "hello"}))
            for _ in range(int(READY_S * 20)):
                if dealer.poll(50):
                    answer: dict[str, Any] = msgpack.unpackb(dealer.recv())
                    return answer
                if self._running.poll() is not None:
                    break
        raise NotReady(f"laybyd exit {self._running.poll()}\n{self.log()}")

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self._running.kill()
        self._running.wait()

    def restart(self) -> dict[str, Any]:
        """kill -9 and start again on the same store and port."""
        self.kill()
        return self.start()

    def signal(self, number: signal.Signals) -> None:
        self._running.send_signal(number)

    def wait(self, timeout_s: float = STOP_S) -> int:
        """Its exit code, once it has ended by itself."""
        return self._running.wait(timeout_s)

    def stop(self) -> int:
        """Ask it to end, twice if it still waits for leases; kills it when it does not."""
        if not self.running:
            return self._process.returncode if self._process else 0
        self.signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(1.0)
        self.signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(STOP_S)
        self.kill()
        raise NotReady(f"laybyd did not stop\n{self.log()}")

    def memory_bytes(self) -> int:
        """Anonymous and shared memory; mapped files do not count."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        sizes = {line.split(":")[0]: line.split() for line in status.splitlines()}
        return 1024 * sum(int(sizes[name][1]) for name in ("RssAnon", "RssShmem"))

    def cpu_s(self) -> float:
        """Processor time used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def log(self) -> str:
        """What it wrote, over all its starts."""
        path = self.home / "laybyd.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
