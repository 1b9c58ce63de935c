"""A real daemon over a harmed store: what it tells and hands out is right, or refused, or it ends.

Owns the questions that clients ask of it, and what they may be answered. Must never know how the
store is made. A daemon that is served damage may refuse single blocks or end as damaged; it never
hands out other bytes, skips nothing, and ends by no signal and no bug.
"""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Any, Self

import zmq

from laybyd.errors import Exit
from loadtests.daemon import DaemonProcess, NotReady
from loadtests.wire import Answer, NoAnswer, Peer, Refused, block, bodies, deliveries, positions
from tests.formats.make import PER_BLOCK, SETTINGS
from tests.integration.daemon_process import acks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.damage.harm import Harm

Told = dict[int, bytes]

MORE_BLOCKS = 60
"""More than a segment holds, so that the harmed one is written to, sealed and left."""

ALIVE_S = 20.0
LAST_WAIT_MS = 200
LOOK_MS = 100


class _Peer(Peer):
    """Waits for nobody who is gone."""

    def __init__(self, context: zmq.Context[Any], daemon: DaemonProcess) -> None:
        super().__init__(context, daemon.url)
        self._daemon = daemon

    def receive(self, wait_ms: int) -> Answer | None:
        for _ in range(-(-wait_ms // LOOK_MS)):
            answer = super().receive(LOOK_MS)
            if answer is not None:
                return answer
            if not self._daemon.running:
                raise NoAnswer("it has ended")
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Served:
    """`how`: "refused" at the start, "ended" as damaged later, or "served"."""

    def __init__(self, kept: Path, known: dict[str, Any], harm: Harm, home: Path) -> None:
        self.how = "served"
        self.faults: list[str] = []
        self.damaged: set[int] = set()
        self._log: Told = {at: _body(start, size) for at, _, start, size in known["log"]}
        self._idle = {at for at, topic, _, _ in known["log"] if topic == "app.a"}
        self._parked = known["parked"]
        self._daemon = DaemonProcess(home, SETTINGS)
        shutil.copytree(kept, self._daemon.store)
        harm.do(self._daemon.store)

    def judge(self) -> Served:
        try:
            self._daemon.start()
        except NotReady:
            self._expect_damaged("refused")
            return self
        with zmq.Context() as context, _Peer(context, self._daemon) as peer:
            try:
                self._ask(peer)
            except NoAnswer as error:
                self._expect_damaged("ended", str(error))
            except ValueError as error:
                self.faults.append(f"wrong bytes: {error}")
        if self._daemon.running and self._daemon.stop() != Exit.OK:
            self._expect_damaged("ended")
        return self

    def _expect_damaged(self, how: str, why: str = "") -> None:
        self.how = how
        try:
            code = self._daemon.wait(ALIVE_S)
        except subprocess.TimeoutExpired:
            self._daemon.kill()
            self.faults.append(f"it says nothing any more and stays: {why}")
            return
        log = self._daemon.log()
        if code != Exit.DAMAGED:
            self.faults.append(f"it ends with {code}: {log[-600:]}")
        elif "the store is damaged" not in log or "backup" not in log:
            self.faults.append(f"it does not say what helps: {log[-600:]}")

    def _ask(self, peer: Peer) -> None:
        self._compare("read", dict(self._read(peer, 1)), set(self._log))
        self._consume(peer)
        for lane in ("deferred", "dead"):
            self._look_at_parked(peer, lane)
        self._go_on(peer)

    def _compare(self, what: str, found: Told, wanted: set[int]) -> None:
        """Each wanted message is right, or one of those that were refused."""
        wrong = sorted(at for at, data in found.items() if self._log.get(at) != data)
        lost = sorted(wanted - found.keys() - self.damaged)
        if wrong:
            self.faults.append(f"{what}: wrong bytes at {wrong}")
        if lost:
            self.faults.append(f"{what}: nothing is said of {lost}")

    def _read(self, peer: Peer, at: int) -> Iterator[tuple[int, bytes]]:
        end = peer.ask("status")["store"]["end"]
        while at < end:
            try:
                answer = peer.ask("read", topics=["*"], **{"from": at}, until=end, limit=10_000)
            except Refused as refusal:
                if refusal.code != "damaged":
                    raise
                after = refusal.answer["next"]
                self.damaged.update(range(at, after))
                self._expect_one_block(at, after)
                at = after
                continue
            yield from _messages(answer)
            at = answer["next"]

    def _expect_one_block(self, at: int, after: int) -> None:
        """A refusal is of the damaged block, not of what stands around it."""
        if after - at > PER_BLOCK:
            self.faults.append(f"{at}..{after - 1} are refused, which is more than one block")

    def _consume(self, peer: Peer) -> None:
        """The group that has read nothing gets every message, or buries it as damaged."""
        found: Told = {}
        while came := deliveries(self._poll(peer)):
            for one in came:
                if one.position in found:
                    self.faults.append(f"{one.position} is handed out twice")
                found[one.position] = one.data
            peer.ask("settle", group="idle", settle=acks(came))
        self._compare("poll", found, self._idle)
        answer = peer.ask("parked", group="idle", lane="dead", limit=1_000)
        buried = {at for one in answer["parked"] for at in range(one["from"], one["to"] + 1)}
        if any(one["history"][-1]["reason"] != "damaged" for one in answer["parked"]):
            self.faults.append("dead for another reason")
        if buried != self._idle - found.keys():
            self.faults.append(f"dead are {sorted(buried)}, but {len(found)} came")

    def _poll(self, peer: Peer) -> Answer:
        fields = {"topics": ["app.a"], "messages": 1_000, "bytes": 1 << 20}
        return peer.ask("poll", group="idle", wait_ms=LAST_WAIT_MS, **fields)

    def _look_at_parked(self, peer: Peer, lane: str) -> None:
        for first, last, _, _, _, data in self._parked[f"busy.{lane}"]:
            fields = {"lane": lane, "ranges": [first, last], "bodies": True}
            try:
                answer = peer.ask("parked", group="busy", **fields)
            except Refused as refusal:
                if refusal.code != "damaged":
                    raise
                continue
            found = [one for frame in answer.blocks for one in bodies(frame)]
            if found != [_body(start, size) for start, size in data]:
                self.faults.append(f"{lane}: wrong bytes of {first}")

    def _go_on(self, peer: Peer) -> None:
        """What is confirmed from now on is there."""
        pushed: Told = {}
        for number in range(MORE_BLOCKS):
            data = [b"%06d" % (100_000 + number * PER_BLOCK + one) * 80 for one in range(PER_BLOCK)]
            first = peer.ask("push", block(data), topic="app.c")["first"]
            pushed.update(enumerate(data, first))
        found = dict(self._read(peer, min(pushed)))
        if found != pushed:
            self.faults.append("what was pushed to it is not there")


def _messages(answer: Answer) -> Iterator[tuple[int, bytes]]:
    for told, frame in zip(answer["blocks"], answer.blocks, strict=True):
        yield from zip(positions(told["ranges"]), bodies(frame), strict=True)


def _body(start: str, size: int) -> bytes:
    return start.encode() * (size // len(start))
