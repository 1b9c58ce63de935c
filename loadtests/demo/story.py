"""The demo's plot: who starts when, who is killed when, and when it is over.

Owns the processes and the clock of the plot. Must never touch a message: it watches the records.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from loadtests.daemon import DaemonProcess, command
from loadtests.demo.closing import GROUP, Kill, Phase
from loadtests.demo.lines import CLEAN_SHARE, HISTORY_SHARE
from loadtests.demo.picture import Picture
from loadtests.demo.producer import write_lines
from loadtests.demo.records import Follower
from tests.audit.history import DAEMON
from tests.audit.tape import now_us

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from loadtests.demo.lines import Line
    from loadtests.demo.screen import Plain, Table

LIVE_S = 22.0
SEND_S = 60.0
FRAME_S = 0.1
START_S = 20.0
FINISH_S = 20.0
CONSUMERS = ("anna", "ben", "carla", "dimitri", "emma", "felix")
CONSUMER_DIES, ANOTHER_JOINS, DAEMON_DIES = 0.75, 0.8, 0.875
VICTIM, LATECOMER = "ben", "gina"
ATTEMPTS = 4
SETTINGS = {
    "groups.lease": "2s",
    "groups.backoff": "[300ms, 700ms, 1500ms]",
    "groups.max_attempts": ATTEMPTS,
}
LIMITS = {"max_attempts": ATTEMPTS, "backoff_ms": [300, 700, 1500], "lease_ms": 2_000}
"""The same, as the auditor is told."""


class TooSlow(Exception):
    """Something that had to happen did not happen in time."""


class Act(NamedTuple):
    """Something done to the broker once this share of the lines is sent."""

    at: float
    name: str
    do: Callable[[], None]


class Play:
    """One run over a folder of its own. `run` it, `close` it whatever happens."""

    def __init__(self, folder: Path, lines: Sequence[Line], screen: Plain | Table) -> None:
        self.records = folder / "records"
        self.records.mkdir()
        self.kills: list[Kill] = []
        self._folder = folder
        self._lines = lines
        self._screen = screen
        self._daemon = DaemonProcess(folder / "broker", SETTINGS)
        self._consumers: dict[str, subprocess.Popen[bytes]] = {}
        self._producer: subprocess.Popen[bytes] | None = None
        self._follower = Follower(self.records)
        self.picture = Picture(len(lines), ATTEMPTS)
        self._acts = [
            Act(CONSUMER_DIES, f"kill -9 of {VICTIM}, a consumer", self._kill_consumer),
            Act(
                ANOTHER_JOINS,
                f"{LATECOMER} joins: nobody else stops",
                lambda: self._join(LATECOMER),
            ),
            Act(DAEMON_DIES, "kill -9 of the daemon, and a new start", self._kill_daemon),
        ]

    def phases(self) -> list[Phase]:
        shares = (HISTORY_SHARE, CLEAN_SHARE, CONSUMER_DIES, DAEMON_DIES, 1)
        cuts = [int(len(self._lines) * share) for share in shares]
        names = (
            "without poison",
            "with poison, failing and being drained",
            "the same, a consumer killed meanwhile",
            "the same, the daemon killed meanwhile",
        )
        return [Phase(*phase) for phase in zip(names, cuts[:-1], cuts[1:], strict=True)]

    def run(self) -> None:
        self._daemon.start()
        self._screen.say(f"laybyd serves on {self._daemon.url}, store {self._daemon.store}")
        for name in CONSUMERS:
            self._join(name)
        self._until("the consumers to join", START_S, self._all_joined)
        self._send()
        for act in self._acts:
            self._until("the lines to be sent", SEND_S * 2, partial(self._sent, act.at))
            self._screen.say(act.name)
            act.do()
        self._until("the last line to be sent", SEND_S * 2, lambda: self.picture.ended)
        self._screen.say("all lines sent; the last failures are still to be retried")
        self._until("every line to end", FINISH_S, lambda: self.picture.complete)
        self._leave()

    def dead(self) -> list[int]:
        """What `layby dead ls` lists."""
        arguments = [command("layby"), "--url", self._daemon.url, "--json"]
        arguments += ["dead", "ls", "--group", GROUP]
        told = subprocess.run(arguments, capture_output=True, timeout=20, check=True, text=True)
        rows = [json.loads(line) for line in told.stdout.splitlines()]
        return [at for row in rows for at in range(row["from"], row["to"] + 1)]

    def close(self) -> None:
        for process in (self._producer, *self._consumers.values()):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
        self._daemon.stop()

    # ---- steps

    def _start(self, name: str, *arguments: object) -> subprocess.Popen[bytes]:
        with (self._folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _join(self, name: str) -> None:
        record = self.records / f"{name}.jsonl"
        module = "loadtests.demo.consumer"
        self._consumers[name] = self._start(name, module, self._daemon.url, name, record)

    def _send(self) -> None:
        plan, record = self._folder / "lines", self.records / "producer.jsonl"
        write_lines(plan, self._lines)
        history = int(len(self._lines) * HISTORY_SHARE)
        live = len(self._lines) - history
        period_us = int(LIVE_S * 1e6 / live)
        module = "loadtests.demo.producer"
        self._producer = self._start("producer", module, self._daemon.url, plan, period_us, record)
        topics = len({line.topic for line in self._lines})
        poison = sum(line.poison for line in self._lines)
        self._screen.say(
            f"sending {len(self._lines):,} lines to {topics} topics: {history:,} at once, "
            f"the rest {1e6 / period_us:.0f} a second; {poison} of those are poison"
        )

    def _kill_consumer(self) -> None:
        at_us = now_us()
        self._consumers[VICTIM].kill()
        self._consumers[VICTIM].wait()
        self.kills.append(Kill(VICTIM, at_us))
        self.picture.consumers[VICTIM].state = "killed"

    def _kill_daemon(self) -> None:
        at_us = now_us()
        self._daemon.restart()
        self.kills.append(Kill(DAEMON, at_us))
        self._screen.say(f"the daemon serves again after {(now_us() - at_us) / 1e6:.1f} s")

    def _leave(self) -> None:
        alive = {name: one for name, one in self._consumers.items() if one.poll() is None}
        for process in alive.values():
            process.terminate()
        for name, process in alive.items():
            if code := process.wait(START_S):
                raise TooSlow(f"{name} ended with {code}: {self._log_of(name)}")

    # ---- watching

    def _all_joined(self) -> bool:
        states = [consumer.state for consumer in self.picture.consumers.values()]
        return states == ["working"] * len(CONSUMERS)

    def _sent(self, share: float) -> bool:
        return self.picture.sent >= share * len(self._lines)

    def _until(self, what: str, within_s: float, reached: Callable[[], bool]) -> None:
        """Show what happens until it does."""
        end_us = now_us() + int(within_s * 1e6)
        while True:
            self.picture.take(self._follower.news())
            self._screen.show(self.picture)
            if reached():
                return
            self._check_alive()
            if now_us() > end_us:
                raise TooSlow(f"waited {within_s:.0f} s for {what}")
            time.sleep(FRAME_S)

    def _check_alive(self) -> None:
        if not self._daemon.running:
            raise TooSlow(f"the daemon ended by itself: {self._daemon.log()[-2_000:]}")
        killed = {kill.who for kill in self.kills}
        for name, process in self._consumers.items():
            if name not in killed and process.poll() is not None:
                raise TooSlow(f"{name} ended by itself: {self._log_of(name)}")
        if self._producer is not None and self._producer.poll():
            raise TooSlow(f"the producer ended by itself: {self._log_of('producer')}")

    def _log_of(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text(errors="replace")[-2_000:]
